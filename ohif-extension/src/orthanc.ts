/**
 * Where Orthanc is. This module is served as <root>/ohif/cbmir/extension.js, so that the root follows from its own
 * address, also behind a reverse proxy that adds a prefix.
 */
export function rootOf(moduleUrl: string): string {
  return new URL('../../', moduleUrl).href;
}

/** An address of Orthanc for a path that the plugin gave, or null when it would lead to another origin. */
export function resolve(path: string, root: string): string | null {
  const url = new URL(path.replace(/^\/+/, ''), root);
  return url.origin === new URL(root).origin && url.protocol.startsWith('http') ? url.href : null;
}
