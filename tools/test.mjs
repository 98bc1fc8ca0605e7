// npm test [-- PATTERN…]: every check, or only the test files whose path contains a pattern, after installing what is missing.
import { launch } from './launch.mjs';

await launch('tools/checks/main.ts', process.argv.slice(2), { dev: true });
