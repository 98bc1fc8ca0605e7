import { describe, expect, it } from 'vitest';
import { SpeedMeter } from '../src/speed.ts';

describe('SpeedMeter', () => {
  it('knows nothing before the first text', () => {
    expect(new SpeedMeter(1000).speed).toEqual({ ttftMs: undefined, tokensPerSecond: undefined, tokenCount: 0 });
  });

  it('has a TTFT but no rate with one text', () => {
    const meter = new SpeedMeter(1000);
    meter.text(1040);
    expect(meter.speed).toEqual({ ttftMs: 40, tokensPerSecond: undefined, tokenCount: 1 });
  });

  it('rates the tokens after the first, and believes the server on their number', () => {
    const meter = new SpeedMeter(1000);
    meter.text(1040);
    meter.text(1050);
    meter.text(1060);
    expect(meter.speed).toEqual({ ttftMs: 40, tokensPerSecond: 100, tokenCount: 3 });
    meter.total(5);
    expect(meter.speed).toEqual({ ttftMs: 40, tokensPerSecond: 200, tokenCount: 5 });
  });
});
