/** A configuration that cannot be used; the message names the key, and the line where it came from a file. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}
