// npm start [-- OPTIONS]: `autoglm serve OPTIONS`, after installing what is missing.
import { launch } from './launch.mjs';

await launch('packages/cli/bin/autoglm.js', ['serve', ...process.argv.slice(2)], { dev: false });
