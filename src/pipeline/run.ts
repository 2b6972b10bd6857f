// Submits a pipeline: splits, stages, captured code, one call of the engine.
import type { BlockWriter } from '../blocks/store.ts'
import { captureCode } from '../code/capture.ts'
import type { CaptureRealm } from '../code/realm.ts'
import {
  throwIfAborted,
  type ExecutionEngine,
  type ExecutionHandle,
  type ExecutionStatus,
  type SubmitOptions,
} from '../engine/execution.ts'
import type { RealmRef } from '../engine/realm.ts'
import { GearmillError, type RecordError } from '../errors.ts'
import type { Splits } from './define.ts'
import { Execution } from './execution.ts'
import { type Plan, planOf } from './explain.ts'
import { checkFunction, checkInteger, checkOneOf, checkOptions, refuse } from './options.ts'
import type { Outcome, RunOptions, SkipOptions, Written } from './pipeline.ts'
import { type Description, type StagedPlan, asTextOf, readersOf, specsOf, stagesOf } from './plan.ts'
import { encodeProgram } from './program.ts'
import type { RegisterOptions, Trigger } from './trigger.ts'

/** A realm that pipelines are made from. */
export interface LaunchRealm {
  readonly capture: CaptureRealm
  /** Keeps the realm; to be awaited before anything is submitted. */
  own(): Promise<RealmRef>
}

/** What pipelines need of the mill that they were made from. */
export interface Launcher {
  readonly engine: ExecutionEngine
  /** Signs shipped code; see GEARMILL_SECRET. */
  readonly secret?: string | undefined
  /** What stands for the models of executors in what is shipped. */
  readonly models?: object
  /** What pipelines share code with. */
  readonly realm?: LaunchRealm | undefined
  /** Keeps a pipeline as a trigger. */
  readonly register?: (description: Description, options: RegisterOptions) => Promise<Trigger>
}

const numbers = ['timeoutMs', 'maxAttempts', 'memoryMb', 'priority', 'delayMs', 'maxErrors'] as const
const submitOptions = ['signal', 'id', ...numbers]

/** Throws PLAN_OPTION. */
export function checkRunOptions(call: string, options: object): void {
  checkSubmitOptions(call, options, ['onProgress', 'onError'])
  const given = options as Partial<SkipOptions>
  if (given.onProgress !== undefined) checkFunction(call, given.onProgress, 'onProgress to be a function')
  if (given.onError !== undefined) checkOneOf(call, 'onError', given.onError, ['skip'])
  if (given.maxErrors !== undefined && given.onError !== 'skip')
    refuse(call, `maxErrors beside onError: 'skip'`, options)
}

/** Throws PLAN_OPTION; `more` are names that the caller checks itself. */
export function checkSubmitOptions(call: string, options: object, more: readonly string[] = []): void {
  checkOptions(call, options, [...submitOptions, ...more])
  const given = options as SubmitOptions
  for (const name of numbers) {
    if (given[name] === undefined) continue
    const least = name === 'priority' ? -Number.MAX_SAFE_INTEGER : 0
    checkInteger(call, given[name], least, `${name} to be a whole number${least === 0 ? ' of at least 0' : ''}`)
  }
  if (given.signal !== undefined && !(given.signal instanceof AbortSignal))
    refuse(call, 'signal to be an AbortSignal', given.signal)
  if (given.id !== undefined && (typeof given.id !== 'string' || given.id === ''))
    refuse(call, 'id to be a text', given.id)
}

/** The splits of all readers. What they have to send is sent, unless `dry`. */
async function splitsOf(
  description: Description,
  { engine }: Launcher,
  id: string,
  dry: boolean,
  signal?: AbortSignal,
): Promise<Splits[]> {
  const { deployment, namespace } = engine
  const upload = (index: number): BlockWriter => engine.upload(id, index)
  const splits: Splits[] = []
  let uploads = 0
  const asText = asTextOf(description)
  for (const [i, { definition, options, source, site }] of readersOf(description).entries()) {
    const context = { deployment, namespace, signal, dry, uploads, upload, asText: asText[i] === true }
    try {
      const found = await definition.splits(options, context, source)
      checkSplits(definition.name, found)
      uploads += found.uploads ?? 0
      splits.push(found)
    } catch (error) {
      // The calls in between are Gearmill's own, and more than a stack holds.
      if (error instanceof GearmillError) error.stack = `${error.stack ?? error.message}\n${site.stack}`
      throw error
    }
  }
  return splits
}

/** A reader of the user may give anything. Throws PLAN_OPTION. */
function checkSplits(reader: string, found: Splits | undefined): void {
  const count: unknown = found?.count
  if (!Number.isSafeInteger(count) || (count as number) < 0) {
    refuse(reader, 'splits() to give { count, data }, count a whole number of at least 0', found)
  }
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
  const id = options.id ?? engine.newId(launcher.realm !== undefined)
  throwIfAborted(id, options.signal)
  // What cannot travel is refused before anything is read or sent; the functions are the same whatever the splits.
  const code = captured(stagesOf(description), launcher)
  const splits = await splitsOf(description, launcher, id, false, options.signal).catch((error: unknown) => {
    throwIfAborted(id, options.signal)
    throw error
  })
  const staged = stagesOf(description, splits)
  const { onProgress, onError: _, ...submitting } = options as Partial<SkipOptions>
  const realm = await launcher.realm?.own()
  const sink = description.sink?.call
  const end = sink?.definition.begin?.(sink.options, id)
  const submission = {
    kind: 'pipeline',
    program: encodeProgram({ strict: !isSkip(options), stages: staged.stages }),
    ...(code === undefined ? {} : { code }),
    stages: specsOf(staged.stages),
    ...(realm === undefined ? {} : { realm }),
    uploads: splits.reduce((sum, { uploads = 0 }) => sum + uploads, 0),
    written: staged.written,
  }
  const handle = await engine
    .submit(submission, { ...submitting, id } satisfies SubmitOptions)
    .catch((error: unknown) => {
      end?.(false)
      throw error
    })
  if (end !== undefined) endWith(handle, engine, end)
  if (onProgress !== undefined) follow(handle.progress(), onProgress)
  return new Execution<T>(handle, planOf(description, staged), description.sink?.call.site)
}

function captured(
  { functions, labels }: StagedPlan,
  { engine, secret, realm }: Launcher,
): ReturnType<typeof captureCode> | undefined {
  if (functions.length === 0) return undefined
  const roots = functions.map((value, i) => ({ value, label: labels[i] as string }))
  return captureCode(roots, {
    known: engine.known,
    ...(secret === undefined ? {} : { secret }),
    ...(realm === undefined ? {} : { realm: realm.capture }),
  })
}

/** Remote work may go on without this client: it then puts away what it made itself. */
function endWith(
  handle: ExecutionHandle,
  { endsWithClient }: ExecutionEngine,
  end: (published: boolean) => void,
): void {
  handle.ended().then(
    ({ state, errors }) => end(state === 'done' && errors === 0),
    (error: unknown) => {
      const lost = error instanceof GearmillError && error.code === 'EXECUTION_LOST'
      if (endsWithClient || lost) end(false)
    },
  )
}

function follow(progress: AsyncIterable<ExecutionStatus>, onProgress: (status: ExecutionStatus) => void): void {
  void (async () => {
    for await (const status of progress) onProgress(status)
  })().catch(() => {
    // The same failure is what the result rejects with.
  })
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

export async function register(
  description: Description,
  launcher: Launcher,
  options: RegisterOptions,
): Promise<Trigger> {
  if (launcher.register === undefined) refuse('register', 'a pipeline of a mill', description.reader.name)
  return launcher.register(description, options)
}
