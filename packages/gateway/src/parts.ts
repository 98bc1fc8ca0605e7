/** The gateway's parts, for a program that joins them in another way than `startGateway`. */
export { createMessagePackStream, decodeMessagePack, encodeMessagePack, encodeMessagePackFloat32 } from './common/message-pack.ts';
export { createCatalog } from './common/model-catalog.ts';
export { promptReplica } from './engines/prompt-replica.ts';
export { Access } from './ingress/access.ts';
export { createIngress, type Ingress, type IngressParts } from './ingress/server.ts';
export { routerOptions } from './main.ts';
export { respond, respondError } from './output/respond.ts';
export { createAdmission } from './admission/admission-stage.ts';
export { admissionOptions } from './admission/options.ts';
export { compileRules } from './prejudge/compile-rules.ts';
export { createRequestPath } from './request-path.ts';
export { createEmbeddingCatalog } from './common/embedding-catalog.ts';
export { createEmbeddingPath } from './embedding-path.ts';
export { respondEmbeddings } from './output/respond-embeddings.ts';
export { shortenOptions } from './shorten-options.ts';
export { costOf, learn, noCosts, type BatchCost } from './engines/batching/batch-costs.ts';
export { decideBatch } from './engines/batching/batch-size.ts';
