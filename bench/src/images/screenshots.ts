import { createRandom } from '@open-autoglm/statistics';
import sharp from 'sharp';

export const screenWidth = 1080;
export const screenHeight = 2400;

/**
 * Screenshots as a phone agent takes them, made up: a status bar, a list of rows with pictures and lines of text, a bar of buttons.
 * Of two in a row, one list has been scrolled, as between two steps of an agent; every third is the one before again.
 */
export async function makeScreenshots(count: number, seed: number): Promise<Buffer[]> {
  const screens: Buffer[] = [];
  for (let index = 0; index < count; index += 1)
    screens.push(index % 3 === 2 ? (screens[index - 1] as Buffer) : await screenshot(seed + Math.floor(index / 3), (index % 3) * 180));
  return screens;
}

async function screenshot(seed: number, scroll: number): Promise<Buffer> {
  const random = createRandom(seed);
  const rows = Array.from({ length: 14 }, (_, row) => ({
    y: 260 + row * 240 - scroll,
    hue: Math.floor(random() * 360),
    lines: Array.from({ length: 3 }, () => words(random)),
  }));
  const drawn = rows
    .filter(({ y }) => y > 140 && y < screenHeight - 200)
    .map(
      ({ y, hue, lines }) =>
        `<rect x="40" y="${y}" width="1000" height="210" rx="24" fill="#fff"/><rect x="64" y="${y + 24}" width="160" height="160" rx="20" fill="url(#g${hue % 4})"/>` +
        lines
          .map(
            (line, index) =>
              `<text x="256" y="${y + 66 + index * 52}" font-size="${index === 0 ? 40 : 32}" fill="${index === 0 ? '#111' : '#667'}">${line}</text>`,
          )
          .join(''),
    );
  const gradients = [12, 130, 210, 300].map(
    (hue, index) =>
      `<linearGradient id="g${index}" x2="1" y2="1"><stop stop-color="hsl(${hue},70%,60%)"/><stop offset="1" stop-color="hsl(${hue + 60},80%,35%)"/></linearGradient>`,
  );
  const svg =
    `<svg xmlns="http://www.w3.org/2000/svg" width="${screenWidth}" height="${screenHeight}" font-family="DejaVu Sans, sans-serif"><defs>${gradients.join('')}</defs><rect width="100%" height="100%" fill="#eef0f4"/>` +
    `<rect width="100%" height="90" fill="#1f2937"/><text x="40" y="60" font-size="36" fill="#fff">12:0${seed % 10}</text><text x="40" y="190" font-size="56" font-weight="bold">${words(random)}</text>${drawn.join('')}` +
    `<rect y="${screenHeight - 180}" width="100%" height="180" fill="#fff"/>${[140, 400, 660, 920].map((x) => `<circle cx="${x}" cy="${screenHeight - 90}" r="36" fill="#3b82f6"/>`).join('')}</svg>`;
  const flat = sharp(Buffer.from(svg));
  // What a camera saw, in the middle: noise is what makes real screenshots with photographs large.
  const photo = Buffer.from(Uint8Array.from({ length: 400 * 400 * 3 }, (_, at) => ((at % 1200) / 5 + random() * 40) & 255));
  const picture = await sharp(photo, { raw: { width: 400, height: 400, channels: 3 } })
    .png()
    .toBuffer();
  return flat
    .composite([{ input: picture, left: 620, top: 1400 - scroll }])
    .png({ compressionLevel: 6 })
    .toBuffer();
}

const vocabulary =
  'open settings message order taxi weather today coffee ticket station hotel window payment search photo album friend call update battery network'.split(
    ' ',
  );
function words(random: () => number): string {
  return Array.from({ length: 5 }, () => vocabulary[Math.floor(random() * vocabulary.length)]).join(' ');
}
