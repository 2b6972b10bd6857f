// What `mill` is inside of shipped functions: the executor's own, on the executor's own connection.
import { counterValue } from '../engine/counters.ts'
import { tally } from '../engine/executor/tally.ts'
import { lanesOf } from '../engine/lanes.ts'
import { PlanError } from '../errors.ts'
import { executorMatrices } from '../matrix/executor-matrices.ts'
import type { Matrices } from '../matrix/matrices.ts'
import { executorModels, type ExecutorModels } from '../models/executor-models.ts'
import { Tensors } from '../models/tensors.ts'
import type { Deployment } from '../redis/deployment.ts'
import { userRedis, type UserRedis, type Watch } from '../redis/user.ts'
import { broadcastPrefix, openBroadcast } from './broadcast.ts'
import { checkAmount, checkCounter, counterPrefix, type Counter } from './counter.ts'

const matrixName = 'mill.matrix'

/** The part of a mill that functions have in executors. */
export interface ExecutorMill {
  readonly redis: UserRedis
  readonly models: ExecutorModels
  readonly tensors: Tensors
  readonly matrix: Matrices
  counter(name: string): Counter
}

/** Where the executor works. */
export interface ExecutorPlace {
  readonly namespace: string
  /** Whose counters they are; triggers have none. */
  readonly group?: string
  /** URLs of further servers by name: see `stores` of the configuration. */
  readonly stores?: Readonly<Record<string, string>> | undefined
  /** Rows and columns of a block where nothing else is said: see `matrix.blockSize` of the configuration. */
  readonly matrixBlockSize?: number | undefined
  /** Calls this before the process ends. */
  onClose?(step: () => Promise<void>): void
}

/** Names that say how to make what they stand for: made when it is first asked for, and kept. */
class KnownThings extends Map<string, unknown> {
  readonly #makers: Readonly<Record<string, (subject: string) => unknown>>

  constructor(
    things: Iterable<readonly [string, unknown]>,
    makers: Readonly<Record<string, (subject: string) => unknown>>,
  ) {
    super(things)
    this.#makers = makers
  }

  override has(name: string): boolean {
    return super.has(name) || Object.keys(this.#makers).some((prefix) => name.startsWith(prefix))
  }

  override get(name: string): unknown {
    if (super.has(name)) return super.get(name)
    const prefix = Object.keys(this.#makers).find((of) => name.startsWith(of))
    if (prefix === undefined) return undefined
    const thing = this.#makers[prefix]?.(name.slice(prefix.length))
    this.set(name, thing)
    return thing
  }
}

export default function known(
  deployment: Deployment,
  place: ExecutorPlace,
  watch?: Watch,
): ReadonlyMap<string, unknown> {
  const redis = userRedis(deployment, watch)
  const models = executorModels(deployment, place.namespace)
  const tensors = new Tensors(deployment, place.namespace)
  const things = new KnownThings([], {
    [counterPrefix]: counter,
    [broadcastPrefix]: openBroadcast,
    [matrixName]: () => executorMatrices(deployment, place),
  })
  const mill: ExecutorMill = Object.freeze({
    redis,
    models,
    tensors,
    get matrix() {
      return things.get(matrixName) as Matrices
    },
    counter: (name: string) => {
      checkCounter(name)
      return things.get(counterPrefix + name) as Counter
    },
  })
  things.set('mill', mill)
  things.set('mill.redis', redis)
  things.set('mill.models', models)
  things.set('mill.tensors', tensors)
  return things

  function counter(name: string): Counter {
    const { namespace, group } = place
    if (group === undefined) {
      throw new PlanError(
        'PLAN_OPTION',
        `counter '${name}': triggers have no commit that counts; use an effect (HINCRBY)`,
      )
    }
    return Object.freeze({
      name,
      add: (n = 1) => {
        checkAmount(n)
        tally(name, n)
      },
      value: () => counterValue(deployment, lanesOf(deployment, namespace, group), name),
    })
  }
}
