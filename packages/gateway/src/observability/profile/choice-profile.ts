import type { GatewayEvent } from '@open-autoglm/protocol';
import type { SegmentTimes } from './segment-times.ts';

/** What is known of one choice: its time in the engine, by the engine's own clock, and its tokens. */
export class ChoiceProfile {
  readonly times: SegmentTimes = {};
  promptTokens = 0;
  cachedTokens = 0;
  completionTokens = 0;
  finishReason: string | undefined;
  promptEndAtMs: number | undefined;

  get engineMs(): number {
    const { queue = 0, prefill = 0, decode = 0, upstream = 0 } = this.times;
    return queue + prefill + decode + upstream;
  }

  on(event: GatewayEvent, atMs: number): void {
    if (event.type === 'segment-end') {
      this.times[event.segment] = (this.times[event.segment] ?? 0) + event.durationMs;
    } else if (event.type === 'prompt-end') {
      this.promptTokens = event.promptTokens;
      this.cachedTokens = event.cachedTokens;
      this.promptEndAtMs = atMs;
    } else if (event.type === 'choice-end') {
      this.completionTokens = event.completionTokens;
      this.finishReason = event.finishReason;
    }
  }

  /** An answer that was cut short: the engine could not tell its time, but was at it since the prompt's end. */
  cut(atMs: number): void {
    if (this.promptEndAtMs === undefined || this.finishReason !== undefined || this.times.prefill === undefined) return;
    this.times.decode = atMs - this.promptEndAtMs;
  }
}
