// npm run build: makes the publishable packages, after installing what is missing.
import { launch } from './launch.mjs';

await launch('tools/build/main.ts', process.argv.slice(2), { dev: true });
