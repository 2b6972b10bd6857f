// Models as values in Redis: the bytes of an ONNX file with the inputs and outputs that it declares.
import { ModelError } from '../errors.ts'
import type { Deployment } from '../redis/deployment.ts'
import { NamedValues, type ValueInfo } from './named-values.ts'
import { type ModelSignature, readSignature } from './onnx-file.ts'

/** What is known of a stored model. */
export interface ModelInfo extends ValueInfo, ModelSignature {}

export class ModelStore {
  readonly #values: NamedValues<ModelInfo>

  constructor(deployment: Deployment, namespace: string) {
    const isValid = ({ inputs, outputs }: Partial<ModelInfo>): boolean =>
      Array.isArray(inputs) && Array.isArray(outputs)
    this.#values = new NamedValues(deployment, namespace, 'model', isValid)
  }

  /** Throws MODEL_FORMAT, MODEL_NAME. */
  async set(name: string, onnx: Uint8Array): Promise<ModelInfo> {
    if (!(onnx instanceof Uint8Array)) {
      throw new ModelError(
        'MODEL_FORMAT',
        `model ${String(name)}: expected the bytes of an ONNX file, got ${typeof onnx}`,
      )
    }
    const { inputs, outputs } = readSignature(onnx)
    return this.#values.put(name, { inputs, outputs }, onnx)
  }

  info(name: string): Promise<ModelInfo | undefined> {
    return this.#values.info(name)
  }

  /** Throws MODEL_UNKNOWN. */
  async known(name: string): Promise<ModelInfo> {
    const info = await this.#values.info(name)
    if (info === undefined) throw new ModelError('MODEL_UNKNOWN', `there is no model ${name}`)
    return info
  }

  /** Throws MODEL_UNKNOWN, MODEL_DAMAGED. */
  async read(name: string): Promise<{ readonly info: ModelInfo; readonly bytes: Uint8Array }> {
    const found = await this.#values.read(name)
    if (found === undefined) throw new ModelError('MODEL_UNKNOWN', `there is no model ${name}`)
    return found
  }

  list(): Promise<ModelInfo[]> {
    return this.#values.list()
  }

  remove(name: string): Promise<boolean> {
    return this.#values.remove(name)
  }
}
