// A worker's part in triggers: holds seats by leases and has host processes run them.
//
// Seats come and go by `look`: at every third of a lease, and when the events stream says that something changed. A seat that is
// the worker's and should run is started in the host with the fewest; one that should not (paused, another revision, too
// many for this worker) is stopped at the end of its batch, and given back. When a host dies its seats are given back and
// taken anew, with a new fence; what ran in it is run one by one then.
import { join } from 'node:path'
import { removeTemporaryDirectory, temporaryDirectory } from '../blocks/temporary-directory.ts'
import { pause } from '../engine/events.ts'
import type { Logger } from '../engine/logger.ts'
import type { FromExecutor } from '../engine/protocol.ts'
import { realmOf, type RealmRef } from '../engine/realm.ts'
import { RealmWatch } from '../engine/realm-watch.ts'
import type { Failure } from '../engine/runner.ts'
import type { BlockingConnection, Deployment } from '../redis/deployment.ts'
import { itemsOf, numberOf, streamEntriesOf, streamEntryOf, textOf } from '../redis/replies.ts'
import { HostProcess } from './host-process.ts'
import { tapName, triggerKeys, type TriggerKeys } from './keys.ts'
import { realmWorker, type Culprit, type FromHost, type HostSetup, type Running, type Suspects } from './protocol.ts'

const watchMs = 100
const blockMs = 5000
const retryMs = 200
/** A seat that cannot run is tried again after this, doubled each time up to the longest. */
const restartMs = 500
const longestRestartMs = 30_000
const mostSuspects = 16
/** How long a host that is not needed any more may take to end, in milliseconds. */
const closeMs = 2000

export interface TriggerServiceOptions {
  readonly deployment: Deployment
  readonly namespace: string
  readonly worker: string
  /** Host processes, at most. */
  readonly hosts: number
  readonly leaseMs: number
  /** Memory limit of a host, in MiB. */
  readonly memoryMb: number
  readonly setup: Pick<HostSetup, 'known' | 'base' | 'secret' | 'stores' | 'matrixBlockSize'>
  readonly logger: Logger
  readonly console: (level: (FromExecutor & { type: 'log' })['level'], text: string) => void
}

interface Granted {
  readonly name: string
  readonly seat: number
  readonly fence: string
  readonly revision: string
  readonly state: string
}

interface RunningSeat {
  readonly granted: Granted
  readonly host: HostProcess
  /** In performance time. */
  readonly since: number
  stopping: boolean
}

/** What is remembered of a seat between its starts. */
interface Past {
  /** Suspects and culprits are of this one: another one's code may have no trouble with them. */
  revision: string
  suspects: Suspects[]
  culprits: Culprit[]
  failures: number
  notBefore: number
}

export class TriggerService {
  readonly #options: TriggerServiceOptions
  readonly #keys: TriggerKeys
  readonly #hosts = new Set<HostProcess>()
  readonly #running = new Map<string, RunningSeat>()
  readonly #past = new Map<string, Past>()
  readonly #stop = new AbortController()
  readonly #loops: Promise<void>[] = []
  readonly #idle: (() => void)[] = []
  #tapHost: HostProcess | undefined
  readonly #realms: RealmWatch
  #scratch = ''
  #spawned = 0
  #watch: NodeJS.Timeout | undefined
  #looking: Promise<void> | undefined
  #lookAgain = false
  #draining = false

  constructor(options: TriggerServiceOptions) {
    this.#options = options
    this.#keys = triggerKeys(options.namespace)
    this.#realms = new RealmWatch({
      deployment: options.deployment,
      namespace: options.namespace,
      worker: realmWorker(options.worker),
      processes: () => this.#hosts,
      gone: (realm) => this.#unload(realm),
    })
  }

  async start(): Promise<void> {
    this.#watch = setInterval(() => {
      for (const host of this.#hosts) host.watch()
      this.#realms.sample()
    }, watchMs)
    this.#watch.unref()
    this.#realms.start()
    const { deployment } = this.#options
    const { events } = this.#keys
    const last = itemsOf(await deployment.command(events, ['XREVRANGE', events, '+', '-', 'COUNT', 1]))[0]
    this.#loops.push(this.#follow(last === undefined ? '0-0' : streamEntryOf(last).id), this.#renew())
  }

  get hostPids(): number[] {
    return [...this.#hosts].flatMap(({ pid }) => (pid === undefined ? [] : [pid]))
  }

  /** Looks at once: a trigger was changed by this process. */
  nudge(): void {
    void this.#look()
  }

  async #follow(from: string): Promise<void> {
    const { deployment } = this.#options
    const { signal } = this.#stop
    const { events } = this.#keys
    let last = from
    let connection: BlockingConnection | undefined
    while (!signal.aborted) {
      try {
        connection ??= await deployment.blocking(events)
        const reply = await connection.command(['XREAD', 'COUNT', 100, 'BLOCK', blockMs, 'STREAMS', events, last], {
          signal,
        })
        const entries = streamEntriesOf(reply)
        if (entries.length === 0) continue
        last = entries.at(-1)?.id ?? last
        // A seat of an earlier revision is told to stop before anything is replayed: that is for the new one.
        await this.#look()
        for (const name of new Set(entries.map(({ fields }) => fields.get('n') ?? ''))) {
          for (const host of this.#hosts) if (name !== '') host.send({ type: 'poke', name })
        }
      } catch {
        if (signal.aborted) break
        await pause(retryMs, signal)
        // A server that went back in time counts from there again.
        last = '0-0'
      }
    }
    await connection?.close()
  }

  async #renew(): Promise<void> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      await this.#look()
      await pause(this.#options.leaseMs / 3, signal)
    }
  }

  /** Never two at a time; asked for in between, once more. */
  async #look(): Promise<void> {
    if (this.#looking !== undefined) {
      this.#lookAgain = true
      return this.#looking
    }
    this.#looking = (async () => {
      do {
        this.#lookAgain = false
        try {
          await this.#reconcile()
        } catch (error) {
          if (!this.#stop.signal.aborted) this.#options.logger.warn(`looking for triggers: ${String(error)}`)
        }
      } while (this.#lookAgain && !this.#stop.signal.aborted)
    })()
    await this.#looking
    this.#looking = undefined
  }

  async #reconcile(): Promise<void> {
    if (this.#draining) return
    const { deployment, worker, leaseMs } = this.#options
    const { registry, seats, live, prefix } = this.#keys
    const primaries = deployment.topology.shards.length
    const reply = itemsOf(
      await deployment.call('trigger_seats', [registry, seats, live], [prefix, worker, leaseMs, tapName, primaries]),
    )
    const share = numberOf(reply[0])
    const granted = new Map<string, Granted>()
    for (let i = 1; i + 4 < reply.length; i += 5) {
      const [name, seat, fence, revision, state] = reply.slice(i, i + 5).map(textOf) as [
        string,
        string,
        string,
        string,
        string,
      ]
      granted.set(`${seat}.${name}`, { name, seat: Number(seat), fence, revision, state })
    }
    for (const [id, held] of this.#running) {
      const now = granted.get(id)
      const same = now?.fence === held.granted.fence && now.revision === held.granted.revision
      if (!same || now.state !== 'running') this.#stopSeat(id, held)
    }
    const release: Granted[] = []
    let started = [...this.#running.values()].filter(({ stopping }) => !stopping).length
    for (const [id, seat] of granted) {
      if (this.#running.has(id)) continue
      if (seat.state !== 'running' || started >= share) release.push(seat)
      else {
        started += 1
        await this.#startSeat(id, seat)
      }
    }
    for (const [id, held] of [...this.#running].toReversed()) {
      if (started <= share) break
      if (held.stopping) continue
      this.#stopSeat(id, held)
      started -= 1
    }
    await this.#release(release)
  }

  async #startSeat(id: string, granted: Granted): Promise<void> {
    const past = this.#past.get(id)
    const wait = past === undefined ? 0 : past.notBefore - performance.now()
    if (wait > 0) {
      setTimeout(() => this.nudge(), wait).unref()
      return
    }
    const { name, seat, fence, revision } = granted
    const realm = await this.#realmOf(name)
    const host = await this.#hostFor(name, seat, realm)
    if (realm !== undefined) host.realms.add(realm.name)
    host.seats += 1
    this.#running.set(id, { granted, host, since: performance.now(), stopping: false })
    const { suspects, culprits } = past?.revision === revision ? past : { suspects: [], culprits: [] }
    host.send({ type: 'start', id, order: { name, seat, fence, revision, suspects, culprits } })
  }

  #stopSeat(id: string, held: RunningSeat): void {
    if (held.stopping) return
    held.stopping = true
    held.host.send({ type: 'stop', id })
  }

  async #realmOf(name: string): Promise<RealmRef | undefined> {
    if (name === tapName) return undefined
    const key = this.#keys.trigger(name)
    return realmOf(textOf(await this.#options.deployment.command(key, ['HGET', key, 'realm'])))
  }

  /**
   * Taps have a process of their own, so that no user code ends or delays it. Triggers of one realm share one, but for further
   * seats of a trigger: those are there to run beside it.
   */
  async #hostFor(name: string, seat: number, realm: RealmRef | undefined): Promise<HostProcess> {
    if (name === tapName) return (this.#tapHost ??= await this.#spawn(undefined))
    const isolated = realm?.memoryMb === undefined ? undefined : realm.name
    const hosts = [...this.#hosts].filter((host) => host !== this.#tapHost && host.isolated === isolated && !host.spent)
    const same = realm && seat === 0 ? hosts.find((host) => host.realms.has(realm.name)) : undefined
    if (same !== undefined) return same
    const [best] = hosts.sort((a, b) => this.#loadOf(a) - this.#loadOf(b))
    if (best !== undefined && (this.#loadOf(best) === 0 || hosts.length >= this.#options.hosts)) return best
    return this.#spawn(realm)
  }

  #loadOf(host: HostProcess): number {
    return [...this.#running.values()].filter((seat) => seat.host === host).length
  }

  async #spawn(realm: RealmRef | undefined): Promise<HostProcess> {
    if (this.#scratch === '') this.#scratch = await temporaryDirectory('scratch')
    const { deployment, namespace, worker, setup } = this.#options
    const memoryMb = Math.min(this.#options.memoryMb, realm?.memoryMb ?? Infinity)
    const host = new HostProcess(
      { url: deployment.url, namespace, worker, ...setup },
      join(this.#scratch, `trigger-${this.#spawned++}`),
      memoryMb,
      realm?.memoryMb === undefined ? undefined : realm.name,
      {
        heard: (message) => void this.#heard(message),
        died: (running, failure) => void this.#died(host, running, failure),
        overMemory: (bytes) => this.#realms.sawPeak(host.realms, bytes),
      },
    )
    this.#hosts.add(host)
    return host
  }

  /** Nobody keeps a realm any more: no trigger of it is left. */
  #unload(realm: string): void {
    for (const host of this.#hosts) {
      if (!host.realms.delete(realm)) continue
      host.send({ type: 'unload', realm })
      if (host.isolated !== realm || [...this.#running.values()].some((seat) => seat.host === host)) continue
      this.#hosts.delete(host)
      void host.close(closeMs)
    }
  }

  async #heard(message: FromHost): Promise<void> {
    if (message.type === 'log') this.#options.console(message.level, message.text)
    else if (message.type === 'ended') await this.#ended(message.id, message.failure)
    else if (message.type === 'halt') await this.#halt(message.name, message.revision, message.failure)
    else if (message.type === 'settled') this.#settled(message.id, message.fields)
  }

  /** Records that ended their process are done with; when somebody replays them, they may run. */
  #settled(id: string, fields: readonly string[]): void {
    const past = this.#past.get(id)
    if (past !== undefined) past.culprits = past.culprits.filter(({ field }) => !fields.includes(field))
  }

  async #ended(id: string, failure: Failure | undefined): Promise<void> {
    const held = this.#running.get(id)
    if (held === undefined) return
    this.#running.delete(id)
    const { granted } = held
    const past = this.#pastOf(id, granted.revision)
    if (failure === undefined) past.failures = 0
    else {
      this.#delay(past)
      this.#options.logger.error(`trigger ${granted.name}: ${failure.code}: ${failure.message}`)
      await this.#note(granted, failure)
      // What does not load here may well load where nothing else ran.
      if (failure.code === 'CAPTURE_LOAD' && held.host.seats > 1) held.host.spent = true
      else if (/^(CAPTURE_|PLAN_)/.test(failure.code) && failure.code !== 'CAPTURE_PACKAGE') {
        await this.#halt(granted.name, granted.revision, failure)
      }
    }
    await this.#release([granted])
    const isOver = held.host === this.#tapHost || held.host.spent
    if (isOver && this.#loadOf(held.host) === 0 && this.#hosts.delete(held.host)) {
      if (held.host === this.#tapHost) this.#tapHost = undefined
      this.#loops.push(held.host.close(closeMs))
    }
    this.#tellIdle()
    await this.#look()
  }

  #pastOf(id: string, revision: string): Past {
    let past = this.#past.get(id)
    if (past?.revision !== revision) {
      const { failures, notBefore } = past ?? { failures: 0, notBefore: 0 }
      this.#past.set(id, (past = { revision, suspects: [], culprits: [], failures, notBefore }))
    }
    return past
  }

  /** Has status() say what keeps a seat from running. */
  async #note({ name, revision }: Granted, failure: Failure): Promise<void> {
    if (name === tapName) return
    const key = this.#keys.trigger(name)
    await this.#options.deployment
      .call('trigger_note', [key], [revision, 'error', errorText(failure)])
      .catch((error: unknown) => this.#options.logger.warn(`noting trouble: ${String(error)}`))
  }

  #delay(past: Past): void {
    past.notBefore = performance.now() + Math.min(longestRestartMs, restartMs * 2 ** past.failures++)
  }

  async #died(host: HostProcess, running: readonly Running[], failure: Failure): Promise<void> {
    this.#hosts.delete(host)
    if (this.#tapHost === host) this.#tapHost = undefined
    const { logger, worker } = this.#options
    const lost = [...this.#running].filter(([, seat]) => seat.host === host)
    logger.warn(`a host of ${lost.length} trigger seats ended: ${failure.message}`)
    for (const [id, { granted, since }] of lost) {
      this.#running.delete(id)
      const past = this.#pastOf(id, granted.revision)
      for (const { suspects, alone } of running.filter((each) => each.id === id)) {
        if (suspects === undefined) {
          this.#delay(past)
          await this.#note(granted, failure)
        } else if (alone === undefined) past.suspects = [...past.suspects, suspects].slice(-mostSuspects)
        else past.culprits = [...past.culprits, { field: alone, failure: { ...failure, worker } }].slice(-mostSuspects)
      }
      // The start of a process is delay enough, unless it does not even come up, or nobody knows what it dies of.
      if (!host.wasReady) this.#delay(past)
      else if (running.length === 0 && performance.now() - since < restartMs) past.notBefore = since + 2 * restartMs
    }
    await this.#release(lost.map(([, { granted }]) => granted))
    this.#tellIdle()
    await this.#look()
  }

  /** The policy, or code that cannot be loaded, ends a trigger: it stays there, and says why. */
  async #halt(name: string, revision: string, failure: Failure): Promise<void> {
    const { deployment, logger } = this.#options
    const key = this.#keys.trigger(name)
    logger.error(`trigger ${name} stops: ${failure.message}`)
    if (textOf(await deployment.command(key, ['HGET', key, 'rev'])) !== revision) return
    await deployment.call('trigger_state', [key, this.#keys.events], [name, 'stopped', errorText(failure)])
  }

  async #release(seats: readonly Granted[], leaves = false): Promise<void> {
    if (seats.length === 0 && !leaves) return
    const { deployment, worker, logger } = this.#options
    const keys = [this.#keys.seats, this.#keys.live, this.#keys.events]
    const list = seats.flatMap(({ name, seat, fence }) => [`${seat}.${name}`, fence])
    await deployment
      .call('trigger_release', keys, [worker, leaves ? 1 : 0, ...list])
      .catch((error: unknown) => logger.warn(`giving back triggers: ${String(error)}`))
  }

  #tellIdle(): void {
    if (this.#running.size === 0) for (const resolve of this.#idle.splice(0)) resolve()
  }

  /** Lets running batches end for `graceMs`, gives the seats back, and ends the hosts. */
  async close(graceMs: number): Promise<void> {
    this.#draining = true
    await this.#looking
    for (const [id, held] of this.#running) this.#stopSeat(id, held)
    if (this.#running.size > 0) {
      let timer: NodeJS.Timeout | undefined
      await Promise.race([
        new Promise<void>((resolve) => this.#idle.push(resolve)),
        new Promise<void>((resolve) => (timer = setTimeout(resolve, graceMs))),
      ])
      clearTimeout(timer)
    }
    clearInterval(this.#watch)
    this.#stop.abort()
    const left = [...this.#running.values()].map(({ granted }) => granted)
    await Promise.all([...this.#hosts].map((host) => host.close(left.length > 0 ? 0 : closeMs)))
    this.#hosts.clear()
    await this.#realms.stop()
    await this.#release(left, true)
    await Promise.all(this.#loops)
    if (this.#scratch !== '') removeTemporaryDirectory(this.#scratch)
  }
}

function errorText({ code, message, stack }: Failure): string {
  return JSON.stringify({ code, message, ...(stack === undefined ? {} : { stack }) })
}
