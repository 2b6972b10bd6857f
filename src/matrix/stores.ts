// The servers that hold blocks: the deployment itself, or those named in the configuration, connected when first used.
import { MatrixError } from '../errors.ts'
import { connectDeployment } from '../redis/connect.ts'
import type { Deployment } from '../redis/deployment.ts'

export class Stores {
  readonly deployment: Deployment
  readonly namespace: string
  readonly #urls: Readonly<Record<string, string>>
  readonly #open = new Map<string, Promise<Deployment>>()

  constructor(deployment: Deployment, namespace: string, urls: Readonly<Record<string, string>>) {
    this.deployment = deployment
    this.namespace = namespace
    this.#urls = urls
  }

  /** Throws MATRIX_STORE for names that the configuration does not have. */
  check(names: readonly string[]): void {
    for (const name of names) {
      if (Object.hasOwn(this.#urls, name)) continue
      const known = Object.keys(this.#urls)
      const got = known.length === 0 ? 'it names none' : `it names ${known.join(', ')}`
      throw new MatrixError('MATRIX_STORE', `the configuration does not name the store '${name}': ${got}`)
    }
  }

  /** The server that holds the blocks of place `index` of a matrix in these stores. */
  of(stores: readonly string[], index: number): Promise<Deployment> {
    const name = stores[index]
    if (name === undefined) return Promise.resolve(this.deployment)
    let open = this.#open.get(name)
    if (open === undefined) {
      this.check([name])
      open = connectDeployment(this.#urls[name] as string)
      this.#open.set(name, open)
      open.catch(() => this.#open.delete(name))
    }
    return open
  }

  /** Closes what it opened; the deployment is the caller's. */
  async close(): Promise<void> {
    const open = [...this.#open.values()]
    this.#open.clear()
    await Promise.allSettled(open.map(async (deployment) => (await deployment).close()))
  }
}
