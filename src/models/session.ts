// A model that is loaded in this process, and the models that are: by the hash of their content, the least used ones are let go.
import { type Dtype, dtypes, isDtype } from '../codec/dtypes.ts'
import type { Tensor } from '../codec/tensor.ts'
import { ModelError } from '../errors.ts'
import { NativeSession, type NativeTensor } from '../native/onnx/runtime.ts'
import type { ModelInfo } from './model-store.ts'
import type { ModelSignature } from './onnx-file.ts'

/** Models that are loaded at a time, and the bytes of their files together (of more than one). */
const mostLoaded = 16
const mostBytes = 1024 * 1024 * 1024

export class Session {
  readonly signature: ModelSignature
  readonly #native: NativeSession

  private constructor(signature: ModelSignature, native: NativeSession) {
    this.signature = signature
    this.#native = native
  }

  /** Loads a model and runs it once, so that the first record does not pay for what the runtime makes ready. */
  static async open(signature: ModelSignature, onnx: Uint8Array): Promise<Session> {
    const session = new Session(signature, await NativeSession.open(onnx))
    const feed = zeros(signature)
    // A model may not like zeros, or free sizes of one: that is for what it is really given to say.
    if (feed !== undefined) await session.run(feed).catch(() => undefined)
    return session
  }

  /** Throws MODEL_RUN, MODEL_INPUT. */
  async run(feed: ReadonlyMap<string, Tensor>, outputs?: readonly string[]): Promise<Record<string, Tensor>> {
    const feeds: Record<string, NativeTensor> = {}
    for (const [name, { dtype, shape, data }] of feed) {
      if (dtype === 'string' && (data as readonly string[]).some((text) => text.includes('\0'))) {
        throw new ModelError('MODEL_INPUT', `input '${name}': onnxruntime would cut a text at the NUL character in it`)
      }
      feeds[name] = { type: dtype, dims: shape, data }
    }
    const results = await this.#native.run(feeds, outputs)
    const tensors: Record<string, Tensor> = {}
    for (const [name, { type, dims, data }] of Object.entries(results)) {
      tensors[name] = { dtype: dtypeOf(type), shape: [...dims], data }
    }
    return tensors
  }

  close(): Promise<void> {
    return this.#native.close()
  }
}

function dtypeOf(type: string): Dtype {
  if (isDtype(type)) return type
  throw new ModelError('MODEL_OUTPUT', `onnxruntime gave a tensor of the unknown type ${type}`)
}

/** Zeros for each input, one for each free size; undefined where an input says too little of itself. */
function zeros({ inputs }: ModelSignature): Map<string, Tensor> | undefined {
  const feed = new Map<string, Tensor>()
  for (const { name, dtype, shape } of inputs) {
    if (dtype === 'unknown' || shape === undefined) return undefined
    const sizes = shape.map((size) => (typeof size === 'number' ? size : 1))
    const count = sizes.reduce((product, size) => product * size, 1)
    const data = dtype === 'string' ? Array.from({ length: count }, () => '') : dtypes[dtype].make(count)
    feed.set(name, { dtype, shape: sizes, data })
  }
  return feed
}

interface Loaded {
  readonly session: Promise<Session | undefined>
  readonly bytes: number
}

export class Sessions {
  readonly #loaded = new Map<string, Loaded>()

  /** The session of a model. `read` is asked for its bytes where it is not loaded; it may have none: then there is no session. */
  async of(info: ModelInfo, read: () => Promise<Uint8Array | undefined>): Promise<Session | undefined> {
    const { hash, bytes } = info
    let loaded = this.#loaded.get(hash)
    if (loaded === undefined) {
      const session = read().then((onnx) => (onnx === undefined ? undefined : Session.open(info, onnx)))
      loaded = { session, bytes }
      const forget = (): void => void this.#loaded.delete(hash)
      // What is missing now may be there at the next try.
      session.then((opened) => opened ?? forget(), forget)
    }
    // The latest used is the last to go.
    this.#loaded.delete(hash)
    this.#loaded.set(hash, loaded)
    await this.#evict()
    return loaded.session
  }

  async #evict(): Promise<void> {
    const total = (): number => [...this.#loaded.values()].reduce((sum, { bytes }) => sum + bytes, 0)
    for (const [hash, { session }] of this.#loaded) {
      const size = this.#loaded.size
      if (size <= mostLoaded && (size === 1 || total() <= mostBytes)) return
      this.#loaded.delete(hash)
      await session.then((old) => old?.close()).catch(() => undefined)
    }
  }
}
