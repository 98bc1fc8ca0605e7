// npm run bench -- SUITE [--json]: figures side by side with a reference, after installing what is missing.
import { launch } from './launch.mjs';

await launch('bench/src/main.ts', process.argv.slice(2), { dev: true });
