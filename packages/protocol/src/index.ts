export * from './engine.ts';
export * from './errors.ts';
export * from './events.ts';
export * from './model.ts';
export * from './parts.ts';
export * from './request.ts';
export * from './stage.ts';
