/** What stands between tiers, for Node: `import { openTiers } from '@open-autoglm/client/tiers'`. */
export { openTiers, type Tiers, type TiersOptions } from './tiers.ts';
export { TiersConversation, type ConversationOptions, type TierEvent } from './conversation.ts';
export { loadService } from './service.ts';
