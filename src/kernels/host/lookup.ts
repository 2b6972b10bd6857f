// Which version of a kernel a step runs: what is stored at that time. On one server each commit brings the tags of what comes
// next with it; in a cluster, where kernels lie elsewhere, each step asks for its own.
import type { Deployment } from '../../redis/deployment.ts'
import { itemsOf, textOf } from '../../redis/replies.ts'
import type { ChainLane } from '../keys.ts'
import { readKernel, type StoredKernel } from '../store.ts'

const mostKept = 500
/**
 * Imports that are looked up with every commit, and characters of the source of one: the server hashes them all each time. Others
 * are read at each step.
 */
const mostImported = 32
const longestImported = 16 * 1024

export class Lookup {
  readonly #deployment: Deployment
  readonly #namespace: string
  /** By name and tag: the same source under two names is two kernels. */
  readonly #kept = new Map<string, StoredKernel>()
  /** Names that imports asked for last: they are looked up with every commit. Their tags, as last seen. */
  readonly #imported = new Map<string, string>()
  readonly #reading = new Map<string, Promise<StoredKernel | undefined>>()

  constructor(deployment: Deployment, namespace: string) {
    this.#deployment = deployment
    this.#namespace = namespace
  }

  /** False in a cluster: tags cannot be had from a lane. */
  get hasTags(): boolean {
    return !this.#deployment.topology.cluster
  }

  /** Names whose tags are wanted beside those of the kernels that come next. */
  get imported(): Iterable<string> {
    return this.#imported.keys()
  }

  /** The tags of names, as they are now. */
  async tags(lane: ChainLane, names: readonly string[]): Promise<ReadonlyMap<string, string>> {
    const all = [...new Set([...names, ...this.#imported.keys()])]
    const reply = itemsOf(await this.#deployment.call('kernel_tags', [lane.base], all))
    const tags = new Map(all.map((name, i) => [name, textOf(reply[i])]))
    this.saw(tags)
    return tags
  }

  saw(tags: ReadonlyMap<string, string>): void {
    for (const name of this.#imported.keys()) {
      const tag = tags.get(name)
      if (tag !== undefined) this.#imported.set(name, tag)
    }
  }

  /** A kernel that was seen with that tag, without asking anybody. */
  known(name: string, tag: string | undefined): StoredKernel | undefined {
    return tag === undefined ? undefined : this.#kept.get(`${name} ${tag}`)
  }

  /** The kernel of that name as it is now. */
  read(name: string): Promise<StoredKernel | undefined> {
    let reading = this.#reading.get(name)
    if (reading === undefined) {
      reading = readKernel(this.#deployment, this.#namespace, name)
      this.#reading.set(name, reading)
      // Who asks in the same turn shares the answer; who asks later wants a later one.
      setImmediate(() => this.#reading.delete(name))
      reading.then(
        (kernel) => kernel && this.#keep(kernel),
        () => undefined,
      )
    }
    return reading
  }

  /** What an import of that name means. */
  async resolve(name: string): Promise<StoredKernel | undefined> {
    const tag = this.#imported.get(name)
    const known = this.known(name, tag)
    const kernel = known ?? (await this.read(name))
    this.#imported.delete(name)
    if (kernel === undefined || !this.hasTags || kernel.source.length > longestImported) return kernel
    this.#imported.set(name, known === undefined ? kernel.hash : (tag as string))
    dropOldest(this.#imported, mostImported)
    return kernel
  }

  #keep(kernel: StoredKernel): void {
    const key = `${kernel.name} ${kernel.hash}`
    this.#kept.delete(key)
    this.#kept.set(key, kernel)
    dropOldest(this.#kept, mostKept)
  }
}

function dropOldest(map: Map<string, unknown>, most: number): void {
  for (const oldest of map.keys()) {
    if (map.size <= most) return
    map.delete(oldest)
  }
}
