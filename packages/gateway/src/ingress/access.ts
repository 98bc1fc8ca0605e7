import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import type { EmitEvent } from '@open-autoglm/protocol';
import type { Caller } from '../common/asker.ts';
import type { Keyring, KeyHolder } from './auth/keyring.ts';
import type { Admission, Ask, Limits } from './limits/limits.ts';
import { tenantOf } from './tenant.ts';

/** What a request is charged by. */
export interface Demand extends Pick<Ask, 'tenant' | 'answerTokensMax' | 'answerCount' | 'isBatch'> {
  readonly model: string;
  /** That reads its documents, where the request names one. */
  readonly documentsModel?: string | undefined;
  /** Estimated only where somebody counts. */
  readonly promptTokens: () => number;
}

/** Who asks: by the key that its request has, or as it was known when the work was left here. */
export interface Identity {
  /** Undefined where keys are not checked. */
  readonly holder: KeyHolder | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly caller: Caller | undefined;
}

/** The door: who may come in, and how often. Either is undefined where it is not asked. */
export class Access {
  readonly #keyring: Keyring | undefined;
  readonly #limits: Limits | undefined;

  constructor(keyring: Keyring | undefined, limits: Limits | undefined) {
    this.#keyring = keyring;
    this.#limits = limits;
  }

  async close(): Promise<void> {
    await this.#limits?.close();
  }

  /** Throws `missing_api_key` and `invalid_api_key`; also for a caller whose key was taken away since. */
  identify(headers: IncomingHttpHeaders, caller?: Caller): Identity {
    const holder = caller?.key === undefined ? this.#keyring?.open(headers) : this.#keyring?.require(caller.key);
    return { holder, headers, caller };
  }

  /** For what is asked without being generated: files, models. */
  callerOf(headers: IncomingHttpHeaders): Caller {
    return { key: this.#keyring?.open(headers).name, tenant: tenantOf(headers, undefined) };
  }

  /**
   * Undefined: nothing limits it. Throws `permission_denied` and `rate_limit_exceeded`; of the latter `response` says more in its headers.
   */
  admit(identity: Identity, demand: Demand, emit: EmitEvent, response?: ServerResponse): Promise<Admission | undefined> | undefined {
    identity.holder?.allow(demand.model, 'model');
    if (demand.documentsModel !== undefined) identity.holder?.allow(demand.documentsModel, 'autoglm.documents.model');
    return this.#limits && this.#limit(this.#limits, identity, demand, emit, response);
  }

  async #limit(
    limits: Limits,
    { holder, headers, caller }: Identity,
    demand: Demand,
    emit: EmitEvent,
    response: ServerResponse | undefined,
  ): Promise<Admission | undefined> {
    const { tenant, answerTokensMax, answerCount, isBatch } = demand;
    const key = caller?.key ?? holder?.name ?? caller?.tenant ?? callerWithoutKey(headers);
    const admission = await limits.admit({
      key,
      tenant,
      promptTokens: demand.promptTokens(),
      answerTokensMax,
      answerCount,
      isBatch: isBatch || caller !== undefined,
    });
    if (!admission) return undefined;
    emit({ type: 'limit-decision', result: admission.refusal ? 'refused' : 'admitted', source: admission.source });
    if (!admission.refusal) return admission;
    tell(admission, response);
    throw admission.refusal;
  }

  /**
   * A request that generates nothing, for this tenant of the caller's; `keyless`: by what it is counted where keys are not checked,
   * else by its credentials. Throws `missing_api_key`, `invalid_api_key` and `rate_limit_exceeded`; the response's headers say what is
   * left.
   */
  async admitCall(
    headers: IncomingHttpHeaders,
    tenant: string,
    response: ServerResponse,
    keyless = callerWithoutKey(headers),
  ): Promise<void> {
    const holder = this.#keyring?.open(headers);
    const admission = await this.#limits?.admitCall({ key: holder?.name ?? keyless, tenant });
    tell(admission, response);
    if (admission?.refusal) throw admission.refusal;
  }
}

function callerWithoutKey({ authorization }: IncomingHttpHeaders): string {
  return tenantOf({ authorization }, undefined);
}

function tell(admission: Admission | undefined, response: ServerResponse | undefined): void {
  for (const name in admission?.headers) response?.setHeader(name, admission.headers[name] as string);
}
