import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { findChromium, launchChromium } from '../../../../../apps/console/test/browser.ts';
import { renderPage, summarise } from '../../../src/replay/report/index.ts';
import { comparisonOf, failure, machine } from './results.ts';

const chromium = findChromium();

describe.runIf(chromium)('the page in a browser', () => {
  it('opens from a disk without a request, runs nothing, and fits a phone', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'autoglm-report-'));
    const browser = await launchChromium(chromium as string);
    onTestFinished(async () => {
      await browser.close();
      await rm(folder, { recursive: true });
    });
    const compared = comparisonOf(7, ({ target, index }) => 100 + target * 10 + (index % 5));
    const hostile = failure('failed', '<img src=http://127.0.0.1:9/x onerror="document.title=1"><script>document.title=2</script>', {
      dueAtMs: 5,
    });
    const result = { ...compared, outcomes: [...compared.outcomes, hostile] };
    const file = path.join(folder, 'report.html');
    await writeFile(file, renderPage(result, summarise(result, machine)));

    const page = await browser.newPage({ viewport: { width: 375, height: 700 } });
    const said: string[] = [];
    page.on('console', (message) => said.push(message.text()));
    page.on('request', (request) => said.push(request.url()));
    await page.goto(pathToFileURL(file).href);
    expect(said).toEqual([pathToFileURL(file).href]);
    expect(await page.title()).toBe('Comparison: trace.jsonl');
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(375);
    expect(await page.evaluate('document.images.length')).toBe(0);
    // The style sheet was let in: its hash is the policy's.
    expect(await page.evaluate('getComputedStyle(document.querySelector(".charts")).display')).toBe('grid');
  });
});
