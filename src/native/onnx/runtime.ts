// onnxruntime-node: found where Gearmill or the worker's folder has it, loaded when a model is first run. One thread a session:
// there is one executor a core. Types are our own: the package is optional.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { ModelError } from '../../errors.ts'

/** Names a folder of onnxruntime-node to use, or says `off`. */
export const runtimeVariable = 'GEARMILL_ONNXRUNTIME'

export type NativeData =
  | Float32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array
  | readonly string[]

/** A tensor as the runtime names its types. */
export interface NativeTensor {
  readonly type: string
  readonly dims: readonly number[]
  readonly data: NativeData
}

interface RuntimeSession {
  readonly inputNames: readonly string[]
  readonly outputNames: readonly string[]
  run(
    feeds: Readonly<Record<string, object>>,
    fetches?: readonly string[],
  ): Promise<Readonly<Record<string, NativeTensor>>>
  release(): Promise<void>
}

interface Runtime {
  readonly InferenceSession: {
    create(bytes: Uint8Array, options: object): Promise<RuntimeSession>
  }
  readonly Tensor: new (type: string, data: NativeData, dims: readonly number[]) => NativeTensor
}

const packageName = 'onnxruntime-node'

/** The file that the package is loaded from; undefined where there is none. */
function find(): string | undefined {
  const chosen = process.env[runtimeVariable]
  if (chosen === 'off') return undefined
  const places =
    chosen === undefined || chosen === ''
      ? [createRequire(import.meta.url), createRequire(join(process.cwd(), 'package.json'))]
      : [createRequire(import.meta.url)]
  for (const place of places) {
    try {
      return place.resolve(chosen === undefined || chosen === '' ? packageName : chosen)
    } catch {
      // The next place may have it.
    }
  }
  return undefined
}

/** The version of the package that would be loaded; undefined where there is none. Does not load it. */
export function runtimeVersion(): string | undefined {
  const file = find()
  if (file === undefined) return undefined
  // Its entry is one folder below its root.
  for (const up of ['..', '.']) {
    try {
      const about: unknown = JSON.parse(readFileSync(join(file, '..', up, 'package.json'), 'utf8'))
      if (typeof about === 'object' && about !== null && 'version' in about) return String(about.version)
    } catch {
      // Not there.
    }
  }
  return undefined
}

let loaded: Runtime | undefined

function runtime(): Runtime {
  if (loaded !== undefined) return loaded
  const file = find()
  if (file === undefined) throw new ModelError('MODEL_RUNTIME', `${packageName} is not installed beside this worker`)
  try {
    loaded = createRequire(import.meta.url)(file) as Runtime
    return loaded
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new ModelError('MODEL_RUNTIME', `${packageName} cannot be loaded on this machine: ${why}`, { cause })
  }
}

const messageOf = (thrown: unknown): string => (thrown instanceof Error ? thrown.message : String(thrown)).trim()

/** A model, ready to run. */
export class NativeSession {
  readonly #session: RuntimeSession
  #running = 0
  #closing = false
  #closed: Promise<void> | undefined

  private constructor(session: RuntimeSession) {
    this.#session = session
  }

  /** Throws MODEL_RUNTIME where there is no runtime, MODEL_FORMAT where it does not take the model. */
  static async open(onnx: Uint8Array): Promise<NativeSession> {
    const { InferenceSession } = runtime()
    try {
      const session = await InferenceSession.create(onnx, {
        intraOpNumThreads: 1,
        interOpNumThreads: 1,
        executionMode: 'sequential',
        // Errors come as exceptions; what it prints would be in the way of the user's output.
        logSeverityLevel: 4,
      })
      return new NativeSession(session)
    } catch (cause) {
      throw new ModelError('MODEL_FORMAT', `onnxruntime does not load the model: ${messageOf(cause)}`, { cause })
    }
  }

  /** Throws MODEL_RUN. Holds the thread while it computes. */
  async run(
    feeds: Readonly<Record<string, NativeTensor>>,
    outputs?: readonly string[],
  ): Promise<Readonly<Record<string, NativeTensor>>> {
    const { Tensor } = runtime()
    this.#running++
    try {
      const values: Record<string, object> = {}
      for (const [name, { type, data, dims }] of Object.entries(feeds)) values[name] = new Tensor(type, data, dims)
      const results = await this.#session.run(values, outputs ?? this.#session.outputNames)
      // Newer engines have half floats, and the runtime gives them.
      return Object.fromEntries(
        Object.entries(results).map(([name, { type, dims, data }]) => [name, { type, dims, data: asBits(type, data) }]),
      )
    } catch (cause) {
      throw new ModelError('MODEL_RUN', `onnxruntime: ${messageOf(cause)}`, { cause })
    } finally {
      this.#running--
      if (this.#closing) this.#release()
    }
  }

  /** Releases its memory, after the runs that are under way. */
  async close(): Promise<void> {
    this.#closing = true
    this.#release()
    await this.#closed
  }

  #release(): void {
    if (this.#running === 0) this.#closed ??= this.#session.release()
  }
}

function asBits(type: string, data: NativeData): NativeData {
  if (type !== 'float16' || !ArrayBuffer.isView(data) || data instanceof Uint16Array) return data
  return new Uint16Array(data.buffer, data.byteOffset, data.length)
}
