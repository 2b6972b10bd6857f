// The public entry of Gearmill.
export { connect, local, type Mill } from './mill.ts'
export type { LocalOptions, MillOptions } from './mill/options.ts'
export { onWorker, type OnWorker } from './code/resource.ts'
export type { CallExecution } from './mill/call.ts'
export type { Executions } from './mill/executions.ts'
export type { ExecutionState, ExecutionStatus, StageProgress } from './engine/execution.ts'
export type { Logger } from './engine/logger.ts'
export type { Execution, RunningExecution } from './pipeline/execution.ts'
export type { Plan } from './pipeline/explain.ts'
export type { Keyed, Outcome, Pipeline, PipelineSink, RunOptions, SkipOptions, Written } from './pipeline/pipeline.ts'
export type { FileBytes, FileOptions, KeyOptions } from './pipeline/readers.ts'
export type { UserRedis } from './redis/user.ts'
export {
  CaptureError,
  ConfigError,
  ConnectError,
  ExecutionError,
  GearmillError,
  PlanError,
  RecordError,
  ServerError,
  type ErrorCode,
} from './errors.ts'
