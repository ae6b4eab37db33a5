import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    environment: 'jsdom',
    include: ['src/**/*.test.{ts,tsx}', 'scripts/**/*.test.mjs'],
    restoreMocks: true,
  },
  // The contract file lies beside the package, shared with the plugin's own tests.
  server: { fs: { allow: ['..'] } },
});
