// `mill.matrix` inside of executors: plans are carried out in the executor itself. Were they submitted, functions that wait
// for them could occupy every executor that might run them.
import { ExecutionError } from '../errors.ts'
import type { Deployment } from '../redis/deployment.ts'
import { Blocks } from './blocks.ts'
import type { CellFunction } from './loop.ts'
import { Matrices } from './matrices.ts'
import type { Planned } from './plan.ts'
import { PlanTasks } from './plan-task.ts'
import { Stores } from './stores.ts'
import type { EvaluationOptions, MatrixWork, ReadFrames } from './work.ts'

/** Where the configuration is not known. */
const defaultBlockSize = 512

const never = new AbortController().signal

class OwnWork implements MatrixWork {
  readonly executors = 1
  readonly deployment: Deployment
  readonly namespace: string
  readonly #stores: Stores
  readonly #blocks: Blocks

  constructor(deployment: Deployment, namespace: string, stores: Readonly<Record<string, string>>) {
    this.deployment = deployment
    this.namespace = namespace
    this.#stores = new Stores(deployment, namespace, stores)
    this.#blocks = new Blocks(this.#stores)
  }

  async run(planned: Planned, { signal = never }: EvaluationOptions, read?: ReadFrames): Promise<void> {
    try {
      const written = await this.#carryOut(planned, signal)
      await read?.(each(written))
    } catch (error) {
      // As an execution of its own would say it.
      if (!signal.aborted || error !== signal.reason) throw error
      const options = { cause: signal.reason as unknown }
      throw new ExecutionError('EXECUTION_ABORTED', 'the evaluation was aborted', { execution: '' }, options)
    }
  }

  /** Gives what the last stage wrote. */
  async #carryOut({ program, stages, functions }: Planned, signal: AbortSignal): Promise<Uint8Array[]> {
    const cellFunctions = functions.map(({ call, label, stack }) => ({
      call: call as CellFunction['call'],
      label,
      stack,
    }))
    const tasks = new PlanTasks(program, cellFunctions, this.#blocks)
    const written: Uint8Array[][][] = []
    for (const [stage, { tasks: count }] of stages.entries()) {
      const ofStage: Uint8Array[][] = []
      written.push(ofStage)
      for (let task = 0; task < count; task++) {
        signal.throwIfAborted()
        const frames: Uint8Array[] = []
        ofStage.push(frames)
        await tasks.run({
          stage,
          task,
          signal,
          input: (from, of) => each(written[from]?.[of] ?? []),
          missing: (_, cause) => cause,
          output: () => ({ append: (frame) => Promise.resolve(void frames.push(frame)) }),
        })
      }
    }
    return written.at(-1)?.flat() ?? []
  }

  close(): Promise<void> {
    return this.#stores.close()
  }
}

async function* each(frames: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* frames
}

export interface MatricesPlace {
  readonly namespace: string
  /** URLs of further servers by name. */
  readonly stores?: Readonly<Record<string, string>> | undefined
  /** Rows and columns of a block where nothing else is said: see `matrix.blockSize` of the configuration. */
  readonly matrixBlockSize?: number | undefined
  /** Calls this before the process ends. */
  onClose?(step: () => Promise<void>): void
}

const ofDeployments = new WeakMap<Deployment, Matrices>()

/** One for each connection. What was not saved goes when the process ends. */
export function executorMatrices(deployment: Deployment, place: MatricesPlace): Matrices {
  let matrices = ofDeployments.get(deployment)
  if (matrices === undefined) {
    const { namespace, stores = {}, matrixBlockSize: blockSize = defaultBlockSize } = place
    const made = new Matrices({ work: new OwnWork(deployment, namespace, stores), stores, blockSize })
    place.onClose?.(() => made.close())
    ofDeployments.set(deployment, (matrices = made))
  }
  return matrices
}
