// `mill.models` inside of executors: models run here, in sessions that are kept.
import { inspect } from 'node:util'
import type { Tensor, TensorInput } from '../codec/tensor.ts'
import { ModelError } from '../errors.ts'
import type { Predictor } from '../pipeline/operations/predict.ts'
import type { Deployment } from '../redis/deployment.ts'
import { feedOf } from './feed.ts'
import { type ModelInfo, ModelStore } from './model-store.ts'
import { ModelPredictor } from './predictor.ts'
import { type Session, Sessions } from './session.ts'

/** A model that is replaced while it is loaded is asked for again. */
const mostLoads = 5

export interface RunOptions {
  /** Outputs that are wanted. Default: all. */
  readonly outputs?: readonly string[]
}

export class ExecutorModels {
  readonly #store: ModelStore
  readonly #sessions = new Sessions()
  readonly #asked = new Map<string, Promise<ModelInfo>>()

  constructor(deployment: Deployment, namespace: string) {
    this.#store = new ModelStore(deployment, namespace)
  }

  /**
   * Runs a model on tensors. Throws `MODEL_UNKNOWN`, `MODEL_INPUT`, `MODEL_OUTPUT`, `MODEL_TENSOR`, `MODEL_RUN`,
   * `MODEL_RUNTIME`.
   */
  async run(
    name: string,
    inputs: Readonly<Record<string, TensorInput>>,
    options: RunOptions = {},
  ): Promise<Record<string, Tensor>> {
    return this.runKnown(await this.meaning(name), inputs, options)
  }

  /** Runs the model that a client has found under its name. */
  async runKnown(
    info: ModelInfo,
    inputs: Readonly<Record<string, TensorInput>>,
    options: RunOptions = {},
  ): Promise<Record<string, Tensor>> {
    const feed = feedOf(info.name, info, inputs)
    checkOutputs(info, options.outputs)
    const session = await this.session(info)
    return session.run(feed, options.outputs)
  }

  /** What is known of a model; undefined where there is none. */
  get(name: string): Promise<ModelInfo | undefined> {
    return this.#store.info(name)
  }

  /** All models, by name. */
  list(): Promise<ModelInfo[]> {
    return this.#store.list()
  }

  /** For predict(): runs batches of records. */
  predictor(name: string): Predictor {
    return new ModelPredictor(name, this)
  }

  /** What a name means now: a model that was replaced before is not run. Calls of one tick ask once. Throws MODEL_UNKNOWN. */
  meaning(name: string): Promise<ModelInfo> {
    let asked = this.#asked.get(name)
    if (asked === undefined) {
      this.#asked.set(name, (asked = this.#store.known(name)))
      setImmediate(() => this.#asked.delete(name))
    }
    return asked
  }

  /** The session of a model. Throws MODEL_RUNTIME, MODEL_FORMAT, MODEL_UNKNOWN, MODEL_DAMAGED. */
  async session(wanted: ModelInfo): Promise<Session> {
    const { name } = wanted
    let info = wanted
    for (let tries = 0; tries < mostLoads; tries++) {
      let found = info
      const session = await this.#sessions.of(info, async () => {
        const read = await this.#store.read(name)
        found = read.info
        // Another one by now: it gets a session under its own hash.
        return found.hash === info.hash ? read.bytes : undefined
      })
      if (session !== undefined) return session
      info = found
    }
    throw new ModelError('MODEL_DAMAGED', `model ${name} is being replaced again and again`)
  }
}

/** Throws MODEL_OUTPUT. */
export function checkOutputs({ name, outputs }: ModelInfo, wanted: readonly string[] | undefined): void {
  const names = outputs.map((output) => output.name)
  if (wanted !== undefined && (!Array.isArray(wanted) || wanted.length === 0)) {
    const message = `model ${name}: expected outputs to be an array of some of ${names.join(', ')}, got ${inspect(wanted)}`
    throw new ModelError('MODEL_OUTPUT', message)
  }
  for (const output of wanted ?? []) {
    if (names.includes(output)) continue
    throw new ModelError('MODEL_OUTPUT', `model ${name} has no output '${output}'; it has ${names.join(', ')}`)
  }
}

const ofDeployments = new WeakMap<Deployment, ExecutorModels>()

/** One for each connection, so that all that runs in an executor shares its sessions. */
export function executorModels(deployment: Deployment, namespace: string): ExecutorModels {
  let models = ofDeployments.get(deployment)
  if (models === undefined) ofDeployments.set(deployment, (models = new ExecutorModels(deployment, namespace)))
  return models
}
