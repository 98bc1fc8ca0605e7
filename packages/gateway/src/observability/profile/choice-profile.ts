import type { GatewayEvent } from '@open-autoglm/protocol';
import type { SegmentTimes } from './segment-times.ts';

/** What is known of one choice: its time in the engine, by the engine's own clock, and its tokens. */
export class ChoiceProfile {
  readonly times: SegmentTimes = {};
  promptTokens = 0;
  cachedTokens = 0;
  completionTokens = 0;
  finishReason: string | undefined;

  get engineMs(): number {
    const { queue = 0, prefill = 0, decode = 0, upstream = 0 } = this.times;
    return queue + prefill + decode + upstream;
  }

  on(event: GatewayEvent): void {
    if (event.type === 'segment-end') {
      this.times[event.segment] = (this.times[event.segment] ?? 0) + event.durationMs;
    } else if (event.type === 'prompt-end') {
      this.promptTokens = event.promptTokens;
      this.cachedTokens = event.cachedTokens;
    } else if (event.type === 'choice-end') {
      this.completionTokens = event.completionTokens;
      this.finishReason = event.finishReason;
    }
  }
}
