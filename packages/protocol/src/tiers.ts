/**
 * The messages of `protocol/proto/tiers.proto`, as the loader gives and takes them: 64-bit numbers as numbers, absent members of a oneof
 * left out.
 */

export interface TierState {
  readonly version: number;
  readonly document?: Uint8Array;
  readonly patch?: Uint8Array;
}

export interface TierClientMessage {
  readonly hello?: { readonly levels: readonly string[] };
  readonly state?: TierState;
}

export interface TierDecision {
  readonly revision: number;
  readonly stateVersion: number;
  readonly level: string;
  readonly delta?: string;
  readonly final?: boolean;
  readonly text?: string;
  readonly supersedes?: number;
  readonly confirms?: boolean;
  readonly answer?: Uint8Array;
  readonly tier?: string;
  readonly engine?: string;
}

export interface TierProblem {
  readonly stateVersion: number;
  readonly level?: string;
  readonly code: string;
  readonly message: string;
  readonly param?: string;
  readonly retryable: boolean;
  readonly revision?: number;
}

export type TierServerMessage =
  | { readonly welcome: { readonly levels: readonly { readonly name: string; readonly model: string }[]; readonly stateBytesMax: number } }
  | { readonly decision: TierDecision }
  | { readonly retraction: { readonly revision: number; readonly reason: string } }
  | { readonly resend: { readonly haveVersion: number; readonly reason: string } }
  | { readonly problem: TierProblem };
