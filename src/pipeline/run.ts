// Submits a pipeline: splits, stages, captured code, one call of the engine.
import { captureCode } from '../code/capture.ts'
import type { ExecutionEngine, ExecutionStatus, SubmitOptions } from '../engine/execution.ts'
import type { RecordError } from '../errors.ts'
import type { Splits } from './define.ts'
import { Execution, type Results } from './execution.ts'
import { type Plan, planOf } from './explain.ts'
import { checkFunction, checkInteger, checkOneOf, checkOptions, refuse } from './options.ts'
import type { Outcome, RunOptions, SkipOptions, Written } from './pipeline.ts'
import { type Description, type StagedPlan, specsOf, stagesOf } from './plan.ts'
import { encodeProgram } from './program.ts'

/** What pipelines need of the mill that they were made from. */
export interface Launcher {
  readonly engine: ExecutionEngine
  /** Signs shipped code; see GEARMILL_SECRET. */
  readonly secret?: string | undefined
}

const numbers = ['timeoutMs', 'maxAttempts', 'memoryMb', 'priority', 'delayMs', 'maxErrors'] as const
const known = ['signal', 'onProgress', 'id', 'onError', ...numbers]

/** Throws PLAN_OPTION. */
export function checkRunOptions(call: string, options: object): void {
  checkOptions(call, options, known)
  const given = options as Partial<SkipOptions>
  for (const name of numbers) {
    if (given[name] === undefined) continue
    const least = name === 'priority' ? -Number.MAX_SAFE_INTEGER : 0
    checkInteger(call, given[name], least, `${name} to be a whole number${least === 0 ? ' of at least 0' : ''}`)
  }
  if (given.onProgress !== undefined) checkFunction(call, given.onProgress, 'onProgress to be a function')
  if (given.onError !== undefined) checkOneOf(call, 'onError', given.onError, ['skip'])
  if (given.maxErrors !== undefined && given.onError !== 'skip')
    refuse(call, `maxErrors beside onError: 'skip'`, options)
  if (given.id !== undefined && (typeof given.id !== 'string' || given.id === ''))
    refuse(call, 'id to be a text', given.id)
}

async function splitsOf(
  { reader }: Description,
  launcher: Launcher,
  id: string,
  dry: boolean,
  signal?: AbortSignal,
): Promise<Splits> {
  const { deployment, namespace } = launcher.engine
  return reader.definition.splits(
    reader.options,
    { deployment, namespace, signal, dry, upload: (index) => launcher.engine.upload(id, index) },
    reader.source,
  )
}

function isSkip(options: RunOptions | SkipOptions): options is SkipOptions {
  return 'onError' in options && options.onError === 'skip'
}

export async function explain(description: Description, launcher: Launcher): Promise<Plan> {
  const splits = await splitsOf(description, launcher, '', true)
  return planOf(description, stagesOf(description, splits))
}

/** Starts a pipeline; the handle's results are records, or what a sink wrote. */
export async function start<T>(
  description: Description,
  launcher: Launcher,
  options: RunOptions | SkipOptions,
): Promise<Execution<T>> {
  const { engine } = launcher
  options.signal?.throwIfAborted()
  const id = options.id ?? engine.newId()
  // What cannot travel is refused before anything is read or sent; the functions are the same whatever the splits.
  const code = captured(stagesOf(description, { count: 1, data: null }), launcher)
  const splits = await splitsOf(description, launcher, id, false, options.signal)
  const staged = stagesOf(description, splits)
  const { onProgress, onError: _, ...submitting } = options as Partial<SkipOptions>
  const handle = await engine.submit(
    {
      kind: 'pipeline',
      program: encodeProgram({ strict: !isSkip(options), stages: staged.stages }),
      ...(code === undefined ? {} : { code }),
      stages: specsOf(staged.stages),
      uploads: splits.uploads ?? 0,
    },
    { ...submitting, id } satisfies SubmitOptions,
  )
  if (onProgress !== undefined) follow(handle.progress(), onProgress)
  return new Execution<T>(handle, planOf(description, staged), resultsOf<T>(staged.written))
}

function captured(
  { functions, labels }: StagedPlan,
  { engine, secret }: Launcher,
): ReturnType<typeof captureCode> | undefined {
  if (functions.length === 0) return undefined
  const roots = functions.map((value, i) => ({ value, label: labels[i] as string }))
  return captureCode(roots, { known: engine.known, ...(secret === undefined ? {} : { secret }) })
}

function follow(progress: AsyncIterable<ExecutionStatus>, onProgress: (status: ExecutionStatus) => void): void {
  void (async () => {
    for await (const status of progress) onProgress(status)
  })().catch(() => {
    // The same failure is what the result rejects with.
  })
}

function resultsOf<T>(written: StagedPlan['written']): Results<T> {
  if (written === undefined) {
    return async function* (frames) {
      for await (const records of frames) yield* records as readonly T[]
    }
  }
  return async function* (frames, ended) {
    let count = written === 'effects' ? ended.written : 0
    for await (const records of frames) for (const record of records) count += record as number
    yield { written: count } as T
  }
}

export async function run<T>(
  description: Description,
  launcher: Launcher,
  options: RunOptions | SkipOptions,
): Promise<T[] | Outcome<T>> {
  const execution = await start<T>(description, launcher, options)
  if (!isSkip(options)) return execution.result()
  const { results, errors } = await execution.outcome()
  return { results, errors }
}

export async function runSink(
  description: Description,
  launcher: Launcher,
  options: RunOptions | SkipOptions,
): Promise<Written & { readonly errors?: RecordError[] }> {
  const execution = await start<Written>(description, launcher, options)
  if (!isSkip(options)) return (await execution.result())[0] as Written
  const { results, errors } = await execution.outcome()
  return { ...(results[0] as Written), errors }
}
