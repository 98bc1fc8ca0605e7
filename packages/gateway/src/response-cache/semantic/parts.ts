/** What finds similar questions and judges them, for programs that measure it. */
export { Learner } from './confidence/learner.ts';
export { QuestionIndex } from './index/question-index.ts';
export { readQuestion } from './reading/read.ts';
export { findDifference } from './rules/index.ts';
export { compareWording, type Wording } from './rules/wording.ts';
export { unitVector } from '../../common/unit-vector.ts';
