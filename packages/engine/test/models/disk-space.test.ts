import { tmpdir } from 'node:os';
import { expect, it } from 'vitest';
import { checkDiskSpace } from '../../src/models/disk-space.ts';

it('says what is needed, what stays free and what there is', async () => {
  await expect(checkDiskSpace(tmpdir(), 1e18, 'a file')).rejects.toThrow(
    /a file in \S+: it needs 1000000000 GB, beside 67 MB that stay free, and [\d.]+ [kMGT]?B are\./,
  );
  await checkDiskSpace(tmpdir(), 0, 'a file');
});
