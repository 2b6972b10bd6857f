// `mill.tensors`: tensors as values in Redis.
import { type Dtype, isDtype } from '../codec/dtypes.ts'
import { type Tensor, type TensorInput, decodeTensor, encodeTensor, tensorOf } from '../codec/tensor.ts'
import type { Deployment } from '../redis/deployment.ts'
import { NamedValues, type ValueInfo } from './named-values.ts'

export interface TensorInfo extends ValueInfo {
  readonly dtype: Dtype
  readonly shape: readonly number[]
}

/** Also inside shipped functions. */
export class Tensors {
  readonly #values: NamedValues<TensorInfo>

  constructor(deployment: Deployment, namespace: string) {
    const isValid = ({ dtype, shape }: Partial<TensorInfo>): boolean => isDtype(dtype) && Array.isArray(shape)
    this.#values = new NamedValues(deployment, namespace, 'tensor', isValid)
  }

  /**
   * Stores a tensor in place of one of the same name. Data are of the dtype's typed array, or plain numbers that it holds;
   * `float16` and `bfloat16` also take Float32Array and Float64Array, a Uint16Array is taken as their bits.
   *
   * Throws `MODEL_TENSOR`, `MODEL_NAME`.
   *
   * @example
   * await mill.tensors.set('t', { dtype: 'float32', shape: [1, 4], data: Float32Array.of(1, 2, 3, 4) })
   */
  async set(name: string, tensor: TensorInput): Promise<TensorInfo> {
    const checked = tensorOf(tensor, `tensor ${String(name)}`)
    const { dtype, shape } = checked
    return this.#values.put(name, { dtype, shape }, encodeTensor(checked))
  }

  /** Undefined where there is none. Throws `MODEL_DAMAGED`. */
  async get(name: string): Promise<Tensor | undefined> {
    const found = await this.#values.read(name)
    return found && decodeTensor(found.info.dtype, found.info.shape, found.bytes)
  }

  /** All tensors with dtype, shape and size, by name. */
  list(): Promise<TensorInfo[]> {
    return this.#values.list()
  }

  /** False where there was none. */
  remove(name: string): Promise<boolean> {
    return this.#values.remove(name)
  }
}
