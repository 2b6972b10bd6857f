// The public entry of Gearmill.
export { connect, local, type Mill } from './mill.ts'
export type { LocalOptions, MillOptions } from './mill/options.ts'
export { onWorker, type OnWorker } from './code/resource.ts'
export type { CallExecution } from './mill/call.ts'
export type { Counter } from './mill/counter.ts'
export type { Executions } from './mill/executions.ts'
export type { Realm, RealmOptions } from './mill/realm.ts'
export type { ScriptOptions } from './mill/script/exec.ts'
export type { RealmStats } from './engine/realm.ts'
export type { ExecutionProfile, StageProfile, StageTimes } from './engine/execution.ts'
export type { ExecutionState, ExecutionStatus, StageProgress } from './engine/execution.ts'
export type { Logger } from './engine/logger.ts'
export type { Execution, RunningExecution } from './pipeline/execution.ts'
export type { Plan } from './pipeline/explain.ts'
export { defineOperation, defineReader, defineSink, type Reader, type Sink } from './pipeline/extend.ts'
export type { OperationCall, ReaderCall, RunContext, SinkCall, SplitContext, Splits } from './pipeline/define.ts'
export type {
  FileSinkOptions,
  KeyToStore,
  Keyed,
  Outcome,
  Pipeline,
  PipelineSink,
  ModelRow,
  Predicted,
  PredictOptions,
  RunOptions,
  SkipOptions,
  Written,
} from './pipeline/pipeline.ts'
export type {
  FileBytes,
  FileOptions,
  KeyEventsReaderOptions,
  KeyOptions,
  StreamOptions,
  StreamRecord,
} from './pipeline/readers.ts'
export type { Chain, ChainState, ChainStatus, TraceEntry } from './kernels/chain.ts'
export type { Kernel, Kernels, KernelStatistics, KernelSummary, KernelVersion } from './kernels/kernels.ts'
export type { StartOptions } from './kernels/options.ts'
export type { KernelOptions } from './kernels/store.ts'
export type { Dtype } from './codec/dtypes.ts'
export type { Tensor, TensorInput } from './codec/tensor.ts'
export type { ModelInfo } from './models/model-store.ts'
export type { ModelRunOptions, Models } from './models/models.ts'
export type { ModelSignature, ModelValue } from './models/onnx-file.ts'
export type { TensorInfo, Tensors } from './models/tensors.ts'
export type { UserRedis } from './redis/user.ts'
export { Matrix, type AxisOption, type MatrixOperand, type NormOrder } from './matrix/matrix.ts'
export type { Gnmf, GnmfOptions } from './matrix/algorithms/gnmf.ts'
export type { Kmeans, KmeansOptions } from './matrix/algorithms/kmeans.ts'
export type { PagerankOptions } from './matrix/algorithms/pagerank.ts'
export type { Regression, RegressionOptions } from './matrix/algorithms/regression.ts'
export type { Svd, SvdOptions } from './matrix/algorithms/svd.ts'
export type { FromOptions, LayoutOptions, Matrices, RandomOptions } from './matrix/matrices.ts'
export type { MatrixPlan, StepPlan } from './matrix/explain.ts'
export type { MatrixInfo } from './matrix/names.ts'
export type {
  DeadLetter,
  FailurePolicy,
  RegisterOptions,
  Trigger,
  TriggerKind,
  TriggerState,
  TriggerStatus,
} from './pipeline/trigger.ts'
export type { Command } from './triggers/command.ts'
export type { KeyEvent, KeyEventType, Tick } from './pipeline/readers/events.ts'
export type { Triggers } from './triggers/registry.ts'
export {
  BufferError,
  CaptureError,
  ConfigError,
  ConnectError,
  ExecutionError,
  GearmillError,
  KernelError,
  MatrixError,
  ModelError,
  PlanError,
  RecordError,
  ServerError,
  TriggerError,
  type ErrorCode,
} from './errors.ts'
