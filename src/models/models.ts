// `mill.models`: ONNX models as values in Redis, run by executors that have onnxruntime-node.
import { callSite } from '../code/call-site.ts'
import { encodeRecords } from '../codec/frames.ts'
import type { Tensor, TensorInput } from '../codec/tensor.ts'
import type { EngineClient } from '../engine/client.ts'
import type { SubmitOptions } from '../engine/execution.ts'
import { GearmillError, ModelError, catalogue, type ErrorCode } from '../errors.ts'
import { RunningExecution } from '../pipeline/execution.ts'
import { checkSubmitOptions } from '../pipeline/run.ts'
import { checkOutputs, type RunOptions } from './executor-models.ts'
import { feedOf } from './feed.ts'
import { type ModelInfo, ModelStore } from './model-store.ts'
import type { ModelProgram } from './runner.ts'

export interface ModelRunOptions extends RunOptions, SubmitOptions {}

/** The models of a deployment, whoever stored them. `run`, `get` and `list` are there inside shipped functions, too. */
export class Models {
  readonly #engine: EngineClient
  readonly #store: ModelStore

  constructor(engine: EngineClient) {
    this.#engine = engine
    this.#store = new ModelStore(engine.deployment, engine.namespace)
  }

  /**
   * Stores a model in place of one of the same name; triggers and executions that use the name take the new one from their next
   * batch or task on. It has to be one file, with its weights inside. Nothing but this process is needed for it.
   *
   * Throws `MODEL_FORMAT`, `MODEL_NAME`.
   *
   * @example
   * const { readFile } = await import('node:fs/promises')
   * await mill.models.set('fraud', await readFile('fraud.onnx'))
   */
  set(name: string, onnx: Uint8Array): Promise<ModelInfo> {
    return this.#store.set(name, onnx)
  }

  /** Hash, size, inputs and outputs; undefined where there is no such model. */
  get(name: string): Promise<ModelInfo | undefined> {
    return this.#store.info(name)
  }

  /** The ONNX file as it was stored. Throws `MODEL_UNKNOWN`, `MODEL_DAMAGED`. */
  async bytes(name: string): Promise<Uint8Array> {
    return (await this.#store.read(name)).bytes
  }

  /** All models, by name. */
  list(): Promise<ModelInfo[]> {
    return this.#store.list()
  }

  /** False where there was none. */
  remove(name: string): Promise<boolean> {
    return this.#store.remove(name)
  }

  /**
   * Runs a model once, in an executor.
   *
   * @param inputs a tensor for each input, by name
   * @returns the outputs by name
   *
   * Throws `MODEL_UNKNOWN`, `MODEL_INPUT` (expected and got), `MODEL_OUTPUT`, `MODEL_TENSOR`, `MODEL_RUN`, `MODEL_RUNTIME`
   * where no worker has onnxruntime-node; `EXECUTION_*` where the execution failed otherwise.
   *
   * @example
   * const input = { dtype: 'float32' as const, shape: [1, 4], data: [1, 2, 3, 4] }
   * const { probability } = await mill.models.run('fraud', { input })
   * console.log(probability?.data[0])
   */
  async run(
    name: string,
    inputs: Readonly<Record<string, TensorInput>>,
    options: ModelRunOptions = {},
  ): Promise<Record<string, Tensor>> {
    checkSubmitOptions('models.run', options, ['outputs'])
    const { outputs, ...submitting } = options
    const site = callSite()
    const info = await this.#store.known(name)
    // What is wrong with the inputs is said here: no executor is needed to see it.
    const feed = feedOf(name, info, inputs)
    checkOutputs(info, outputs)
    const id = options.id ?? this.#engine.newId()
    const upload = this.#engine.upload(id, 0)
    for (const entry of feed) await upload.append(encodeRecords([entry]))
    await upload.close()
    const program: ModelProgram = { model: info, stack: site.stack, ...(outputs === undefined ? {} : { outputs }) }
    const handle = await this.#engine.submit(
      {
        kind: 'model',
        program: new TextEncoder().encode(JSON.stringify(program)),
        stages: [{ tasks: 1, partitions: 1, inputs: [] }],
        uploads: 1,
      },
      { ...submitting, id },
    )
    try {
      const { results, errors } = await new RunningExecution<[string, Tensor]>(handle).outcome()
      if (errors[0] !== undefined) throw errors[0]
      return Object.fromEntries(results)
    } catch (error) {
      throw coded(error)
    } finally {
      // Nobody else knows of it.
      if (options.id === undefined) await handle.remove().catch(() => undefined)
    }
  }
}

/** What went wrong with the model, not with the execution of it. */
function coded(error: unknown): unknown {
  if (!(error instanceof GearmillError) || !isModelCode(error.code)) return error
  return new ModelError(error.code, error.message, { hint: error.hint, cause: error.cause ?? error })
}

function isModelCode(code: ErrorCode): code is ModelError['code'] {
  return code.startsWith('MODEL_') && code in catalogue
}
