/** The learned policy of the cascade: what it looks at, what it says, and its file. `autoglm tune cascade` learns it. */
export { checkPolicyFile, policyFormat, policyVersion, readPolicyFile, type PolicyFile } from './policy-file.ts';
export {
  gainAt,
  observeAnswer,
  observePrompt,
  predict,
  scoreNumbers,
  type CascadePolicy,
  type GainModel,
  type JudgedBy,
  type Prediction,
} from './policy.ts';
export { hashedSize, type HashedWords } from './hashed-words.ts';
export { deviationsMax, probability, standardised, type LinearModel, type NumberWeight, type Observation } from './linear-model.ts';
