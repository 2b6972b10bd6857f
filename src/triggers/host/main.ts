// A host: a child process in which seats of triggers run. What they share: one connection, one copy of what shipped functions
// know, and the fate of the process.
import { serveParent, tell } from '../../engine/executor/serve-parent.ts'
import { LoadedRealms } from '../../engine/executor/realms.ts'
import { errorIn, failureOf } from '../../engine/failure.ts'
import { connectDeployment } from '../../redis/connect.ts'
import type { Failure } from '../../engine/runner.ts'
import type { Deployment } from '../../redis/deployment.ts'
import type { Watch } from '../../redis/user.ts'
import { tapName, triggerKeys, type TriggerKeys } from '../keys.ts'
import { realmWorker, type FromHost, type HostSetup, type SeatOrder, type ToHost } from '../protocol.ts'
import { HostPosition } from '../position.ts'
import { Gate } from './gate.ts'
import { loadTrigger, type LoadedTrigger } from './load.ts'
import { Seat } from './seat.ts'
import { TapSeat } from './tap-seat.ts'

/** Of what is said of the end of this process, in UTF-16 units. */
const longestReason = 500

interface Held {
  readonly order: SeatOrder
  readonly place: number
  /** It is told to stop. */
  readonly stop: AbortController
  seat?: Seat | TapSeat
  ended?: Promise<void>
}

/** What the module that makes known things is told. */
interface Place {
  readonly namespace: string
  readonly stores: HostSetup['stores']
  readonly matrixBlockSize: HostSetup['matrixBlockSize']
  onClose(step: () => Promise<void>): void
}

class Host {
  readonly #setup: HostSetup
  readonly #deployment: Deployment
  readonly #keys: TriggerKeys
  readonly #position = new HostPosition()
  readonly #gate = new Gate()
  readonly #seats = new Map<string, Held>()
  readonly #realms: LoadedRealms
  readonly #closing: (() => Promise<void>)[] = []
  #known: Promise<ReadonlyMap<string, unknown>> | undefined

  constructor(setup: HostSetup, deployment: Deployment) {
    this.#setup = setup
    this.#deployment = deployment
    this.#keys = triggerKeys(setup.namespace)
    // What functions throw outside of their calls leaves the process in a state that nobody knows.
    process.on('uncaughtException', (thrown: unknown, kind) => {
      const error = errorIn(thrown)
      const what =
        error === undefined ? failureOf(thrown, 'EXECUTION_RECORD').message : `threw ${error.name}: ${error.message}`
      const how = kind === 'unhandledRejection' ? 'a rejected promise that nobody awaits' : 'in a callback'
      this.#position.leave(`${what.slice(0, longestReason)}, outside of its call (${how})`)
      process.exit(1)
    })
    this.#realms = new LoadedRealms(deployment, setup.namespace, realmWorker(setup.worker))
  }

  async #makeKnown(watch?: Watch): Promise<ReadonlyMap<string, unknown>> {
    if (this.#setup.known === undefined) return new Map()
    const module = (await import(this.#setup.known)) as {
      default: (deployment: Deployment, place: Place, watch?: Watch) => ReadonlyMap<string, unknown>
    }
    const { namespace, stores, matrixBlockSize } = this.#setup
    const onClose = (step: () => Promise<void>): unknown => this.#closing.push(step)
    return module.default(this.#deployment, { namespace, stores, matrixBlockSize, onClose }, watch)
  }

  #freePlace(): number {
    const taken = new Set([...this.#seats.values()].map(({ place }) => place))
    let place = 0
    while (taken.has(place)) place++
    return place
  }

  async start(id: string, order: SeatOrder): Promise<void> {
    const held: Held = { order, place: this.#freePlace(), stop: new AbortController() }
    this.#seats.set(id, held)
    let ended: FromHost = { type: 'ended', id }
    try {
      held.ended = this.#run(id, held)
      await held.ended
    } catch (error) {
      ended = { ...ended, failure: failureOf(error, 'CAPTURE_LOAD') }
    }
    this.#position.write(held.place, undefined)
    this.#seats.delete(id)
    send(ended)
  }

  async #run(id: string, held: Held): Promise<void> {
    const { order, stop, place } = held
    const { name, revision } = order
    const { namespace, worker, scratch, base, secret } = this.#setup
    const deployment = this.#deployment
    const trouble = (what: string, error: unknown): void =>
      send({ type: 'log', level: 'warn', text: `trigger ${name}: ${what}: ${String(error)}` })
    if (name === tapName) {
      held.seat = new TapSeat({ order, namespace, keys: this.#keys, deployment, trouble })
      return held.seat.run()
    }
    const halt = (failure: Failure): void => send({ type: 'halt', name, revision, failure })
    const loading = loadTrigger(name, revision, {
      deployment,
      namespace,
      keys: this.#keys,
      environment: { worker, scratch, deployment, namespace },
      base,
      secret,
      known: (watch) => (watch === undefined ? (this.#known ??= this.#makeKnown()) : this.#makeKnown(watch)),
      halt,
      realms: this.#realms,
      begins: (timeoutMs) => this.#position.write(place, { id, since: Date.now(), timeoutMs }),
      // Nothing cuts a batch off but the end of the process.
      signal: new AbortController().signal,
    })
    const loaded = await untilStopped(loading, stop.signal)
    this.#position.write(place, undefined)
    if (loaded === undefined) return
    if (stop.signal.aborted) return loaded.program.close()
    held.seat = new Seat({
      ...loaded,
      order,
      namespace,
      keys: this.#keys,
      deployment,
      gate: this.#gate,
      running: (running) => this.#position.write(place, running && { ...running, id }),
      halt,
      settled: (fields) => send({ type: 'settled', id, fields }),
      trouble,
    })
    try {
      await held.seat.run()
    } finally {
      await loaded.program.close()
    }
  }

  stop(id: string): void {
    const held = this.#seats.get(id)
    held?.stop.abort()
    held?.seat?.stop()
  }

  poke(name: string): void {
    for (const { order, seat } of this.#seats.values()) if ([name, tapName].includes(order.name)) seat?.poke()
  }

  unload(realm: string): void {
    this.#realms.unload(realm)
  }

  async close(): Promise<void> {
    for (const id of this.#seats.keys()) this.stop(id)
    await Promise.allSettled([...this.#seats.values()].map(({ ended = Promise.resolve() }) => ended))
    await Promise.allSettled(this.#closing.map((step) => step()))
    await this.#deployment.close()
  }
}

/**
 * What is loaded. Undefined where the seat is told to stop before that, as code of users may never be done with what it begins
 * with; what is loaded then is closed.
 */
function untilStopped(
  loading: Promise<LoadedTrigger | undefined>,
  signal: AbortSignal,
): Promise<LoadedTrigger | undefined> {
  return new Promise((resolve, reject) => {
    const leave = (): void => {
      resolve(undefined)
      loading.then((late) => late?.program.close()).catch(() => undefined)
    }
    if (signal.aborted) return leave()
    signal.addEventListener('abort', leave, { once: true })
    loading.finally(() => signal.removeEventListener('abort', leave)).then(resolve, reject)
  })
}

const send: (message: FromHost) => void = tell

serveParent<ToHost, Host>({
  what: 'a host of triggers',
  open: async (setup) =>
    new Host(setup, await connectDeployment(setup.url, { name: 'gearmill-trigger', loaded: true })),
  heard(host, message) {
    switch (message.type) {
      case 'start':
        void host.start(message.id, message.order)
        break
      case 'stop':
        host.stop(message.id)
        break
      case 'poke':
        host.poke(message.name)
        break
      case 'unload':
        host.unload(message.realm)
        break
    }
  },
})
