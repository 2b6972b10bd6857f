// Where the files of one execution are made before they are published: a hidden folder beside the target, on the same file
// system, so that publishing is a rename. Only the client makes it: a late attempt of a task that finds it gone leaves
// nothing behind.
//
//   .<name>.<execution>.tmp/new/    what attempts write, each under a name of its own
//   .<name>.<execution>.tmp/all/    what takes the target's place
//   .<name>.<execution>.tmp/old/    what had the target's place
//
// Publishing can be repeated at any point of it: what counts are moved from `new` to `all`, the target moves to `old`, and
// `all` becomes the target. Where `all` is gone the rename has happened.
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, rmSync, rmdirSync, statSync } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { codeOf, fileError } from '../../../blocks/file-errors.ts'
import { PlanError } from '../../../errors.ts'

/** Names of parts: a directory that holds anything else is not replaced. */
const partRule = /^part-\d{5,}\.(jsonl|csv|gmb)$/

/** Tried again, for an attempt that was left behind may make a file in a folder that is being emptied. */
const removal = { recursive: true, force: true, maxRetries: 5 } as const

/** A file of an attempt that counts. */
export interface Part {
  /** In `new`. */
  readonly file: string
  /** Where it goes in the target. */
  readonly name: string
  readonly records: number
}

export class Staging {
  readonly target: string
  readonly folder: string

  constructor(target: string, execution: string) {
    this.target = target
    this.folder = join(dirname(target), `.${basename(target)}.${execution.replaceAll(':', '_')}.tmp`)
  }

  /** Path for a file of one attempt. */
  file(name: string): string {
    return join(this.folder, 'new', name)
  }

  get isGone(): boolean {
    return !existsSync(this.folder)
  }

  get #all(): string {
    return join(this.folder, 'all')
  }

  /** Client side. Throws PLAN_FILE where the target cannot be made or must not be replaced. Returns what removes it all. */
  open(single: boolean): (published: boolean) => void {
    this.#check(single)
    let made: string | undefined
    try {
      for (const folder of missing(dirname(this.target))) {
        mkdirSync(folder)
        made ??= folder
      }
      mkdirSync(this.folder, { recursive: true })
      for (const name of ['new', 'all', 'old']) mkdirSync(join(this.folder, name), { recursive: true })
    } catch (error) {
      this.#close(made)
      throw fileError(error, 'write', this.target)
    }
    return (published) => this.#close(published ? undefined : made)
  }

  #check(single: boolean): void {
    let directory: boolean
    try {
      directory = statSync(this.target).isDirectory()
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return
      throw fileError(error, 'write', this.target)
    }
    if (single === directory) {
      const is = directory ? 'a directory' : 'a file'
      const wanted = directory
        ? 'write one file in its place'
        : 'write a directory in its place; single: true makes one file'
      throw new PlanError('PLAN_FILE', `toFile: ${this.target} is ${is}: cannot ${wanted}`)
    }
    const other = directory ? readdirSync(this.target).find((name) => !partRule.test(name)) : undefined
    if (other !== undefined) {
      const message = `toFile: ${this.target} holds '${other}', which toFile did not write: the directory is not replaced`
      throw new PlanError('PLAN_FILE', message)
    }
  }

  /** `made` is the first of the parents that were made for it: they go too, where they are empty. */
  #close(made: string | undefined): void {
    try {
      rmSync(this.folder, removal)
    } catch {
      // The execution has ended as it has: what cannot be removed now is hidden, and in nobody's way.
    }
    for (let parent = dirname(this.target); made !== undefined && parent.startsWith(made); parent = dirname(parent)) {
      try {
        rmdirSync(parent)
      } catch {
        return
      }
    }
  }

  /** Executor side: what was thrown, told apart by whether the folder is there at all. */
  failed(error: unknown): Error {
    if (!this.isGone) return fileError(error, 'write', this.target)
    const message = `toFile: ${this.folder} is not there: workers have to see the folders of the client under the same path`
    return new PlanError('PLAN_FILE', message, { cause: error })
  }

  /** Puts the parts in the place of the target: a directory. May be called again after a death. */
  async publishDirectory(parts: readonly Part[]): Promise<void> {
    if (!this.isGone && !existsSync(this.#all)) return this.remove()
    for (const { file, name } of parts) await moved(this.file(file), join(this.#all, name))
    const old = join(this.folder, 'old', randomBytes(4).toString('hex'))
    await moved(this.target, old)
    try {
      await rename(this.#all, this.target)
    } catch (error) {
      // Another attempt was faster: what was moved away is what it published.
      await moved(old, this.target)
      throw error
    }
    await this.remove()
  }

  /** Puts one file in the place of the target. */
  async publishFile(file: string): Promise<void> {
    await rename(this.file(file), this.target)
    await this.remove()
  }

  async remove(): Promise<void> {
    await rm(this.folder, removal)
  }
}

/** The folders on the way to a path that are not there, outermost first. (mkdir of Node never returns for some under /proc.) */
function missing(path: string): string[] {
  return existsSync(path) ? [] : [...missing(dirname(path)), path]
}

/** A rename that may have been done before. */
async function moved(from: string, to: string): Promise<void> {
  try {
    await rename(from, to)
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error
  }
}
