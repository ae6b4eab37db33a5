import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    environment: 'jsdom',
    include: ['src/**/*.test.{ts,tsx}', 'scripts/**/*.test.mjs'],
    restoreMocks: true,
    setupFiles: ['src/testing/patience.ts'],
    // What hangs fails; a busy machine does not.
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
  // The contract file lies beside the package, shared with the plugin's own tests.
  server: { fs: { allow: ['..'] } },
});
