// A kernel with all that it imports, in the order in which it has to be loaded. What was read and linked is kept by the hashes of
// the sources, so that a step costs a look-up; the versions of imports are asked for at each step, as that of the kernel is.
import { isBuiltin } from 'node:module'
import { KernelError } from '../../errors.ts'
import type { KernelSource, Resolve } from '../step.ts'
import { readModule, type SourceModule } from './module.ts'

/** What one import of a module gives: another module of the program (its index), or a package. */
export type Linked = number | { readonly package: string }

export interface ProgramModule {
  readonly name: string
  readonly hash: string
  readonly read: SourceModule
  readonly imports: readonly Linked[]
}

export interface Program {
  /** No other program of this process has it. */
  readonly id: number
  /** Each after what it imports; the kernel is the last. */
  readonly modules: readonly ProgramModule[]
  readonly kernel: ProgramModule
}

let lastId = 0
const keptModules = 1000
const keptPrograms = 500
/** Sources that a kernel consists of, at most: each is asked for at each step. */
const mostSources = 500

/** Holds what was used last, up to a number. */
class Recent<T> {
  readonly #most: number
  readonly #items = new Map<string, T>()

  constructor(most: number) {
    this.#most = most
  }

  get(key: string): T | undefined {
    return this.#items.get(key)
  }

  set(key: string, item: T): void {
    this.#items.set(key, item)
    for (const oldest of this.#items.keys()) {
      if (this.#items.size <= this.#most) break
      this.#items.delete(oldest)
    }
  }
}

interface Kept {
  readonly source: string
  readonly signature: Uint8Array | undefined
  readonly module: SourceModule
}

export class Programs {
  readonly #resolve: Resolve
  readonly #checkTrusted: (source: KernelSource) => void
  readonly #modules = new Recent<Kept>(keptModules)
  readonly #programs = new Recent<Program>(keptPrograms)

  /** @param checkTrusted throws for a trusted source that is not signed as it has to be; asked once for each source and signature. */
  constructor(resolve: Resolve, checkTrusted: (source: KernelSource) => void) {
    this.#resolve = resolve
    this.#checkTrusted = checkTrusted
  }

  /** Throws KERNEL_SYNTAX, KERNEL_ENTRY, KERNEL_IMPORT, KERNEL_SIGNATURE. A promise where there are imports only. */
  of(source: KernelSource): Program | Promise<Program> {
    const read = this.#read(source)
    if (!read.hasEntry) {
      throw new KernelError(
        'KERNEL_ENTRY',
        `the source of '${source.name}' does not say which function is the kernel`,
        {
          kernel: source.name,
        },
      )
    }
    if (read.imports.length > 0) return this.#link(source)
    const key = keyOf(source)
    let program = this.#programs.get(key)
    if (program?.kernel.read !== read) {
      const kernel: ProgramModule = { name: source.name, hash: source.hash, read, imports: [] }
      program = { id: ++lastId, modules: [kernel], kernel }
      this.#programs.set(key, program)
    }
    return program
  }

  #read(source: KernelSource): SourceModule {
    const key = keyOf(source)
    const kept = this.#modules.get(key)
    // The hash is what someone wrote beside the source; what runs is the source.
    const isKept = kept?.source === source.source
    // Also where the same source was accepted before: what is refused must not depend on who ran here first.
    if (source.trusted && !(isKept && isSame(kept.signature, source.signature))) this.#checkTrusted(source)
    const module = isKept ? kept.module : readModule(source.name, source.source)
    if (!isKept || kept.signature !== source.signature) {
      this.#modules.set(key, { source: source.source, signature: source.signature, module })
    }
    return module
  }

  async #link(source: KernelSource): Promise<Program> {
    const modules: ProgramModule[] = []
    const places = new Map<string, number>()
    const kernel = await this.#add(source, source, modules, places, [])
    const key = modules.map(({ name, hash }) => `${name} ${hash}`).join('\n') + (source.trusted ? ' trusted' : '')
    const known = this.#programs.get(key)
    if (known?.modules.every(({ read }, i) => read === modules[i]?.read)) return known
    const program = { id: ++lastId, modules, kernel }
    this.#programs.set(key, program)
    return program
  }

  async #add(
    root: KernelSource,
    source: KernelSource,
    modules: ProgramModule[],
    places: Map<string, number>,
    path: readonly string[],
  ): Promise<ProgramModule> {
    const read = inModule(root, source, () => this.#read(source))
    const here = [...path, source.name]
    const imports: Linked[] = []
    for (const { specifier, line, names } of read.imports) {
      const fail = (why: string): never => {
        const module = source.name === root.name ? undefined : source.name
        const where = `line ${line}${module === undefined ? '' : ` of '${module}'`}`
        throw new KernelError('KERNEL_IMPORT', `cannot import '${specifier}' (${where}): ${why}`, {
          kernel: root.name,
          line,
          module,
        })
      }
      const found = await this.#find(specifier, root.trusted)
      if (found === undefined) {
        if (!root.trusted || !mayBePackage(specifier)) fail(whyMissing(specifier, root.trusted))
        imports.push({ package: specifier })
        continue
      }
      if (here.includes(found.name)) fail(`it imports '${source.name}' in turn: ${[...here, found.name].join(' > ')}`)
      if (root.trusted && !found.trusted) fail('it is not trusted, and a trusted kernel imports it')
      let at = places.get(found.name)
      if (at === undefined) {
        if (places.size >= mostSources) fail(`the kernel consists of more than ${mostSources} sources`)
        await this.#add(root, found, modules, places, here)
        at = modules.length - 1
        places.set(found.name, at)
      }
      const target = modules[at]
      for (const { imported } of names) {
        if (imported !== '*' && target && !hasExport(target, imported, modules)) fail(`it has no export '${imported}'`)
      }
      imports.push(at)
    }
    const module = { name: source.name, hash: source.hash, read, imports }
    modules.push(module)
    return module
  }

  async #find(specifier: string, trusted: boolean): Promise<KernelSource | undefined> {
    if (isBuiltin(specifier)) return undefined
    const found = await this.#resolve(kernelNameOf(specifier))
    // Whoever may write any key should not be able to take the place of a package.
    return found && trusted && !found.trusted && mayBePackage(specifier) ? undefined : found
  }
}

const isSame = (a: Uint8Array | undefined, b: Uint8Array | undefined): boolean =>
  a === b || (a !== undefined && b !== undefined && Buffer.compare(a, b) === 0)

const keyOf = ({ name, hash, trusted }: KernelSource): string => `${name} ${hash}${trusted ? ' trusted' : ''}`

/** `./resize.ts`, `kernel:resize` and `resize` are the kernel `resize`. */
function kernelNameOf(specifier: string): string {
  if (specifier.startsWith('kernel:')) return specifier.slice('kernel:'.length)
  return specifier.startsWith('./') ? specifier.slice(2).replace(/\.[cm]?[jt]s$/, '') : specifier
}

const mayBePackage = (specifier: string): boolean => !/^(?:\.|\/|kernel:)/.test(specifier)

function whyMissing(specifier: string, trusted: boolean): string {
  if (!trusted && isBuiltin(specifier)) return "Node's own modules are for trusted kernels"
  const missing = `there is no kernel or library '${kernelNameOf(specifier)}'`
  return trusted ? missing : `${missing}, and packages are for trusted kernels`
}

function hasExport(module: ProgramModule, name: string, modules: readonly ProgramModule[]): boolean {
  if (module.read.exports.includes(name)) return true
  return module.read.passedOn.some((at) => {
    const linked = module.imports[at]
    const from = typeof linked === 'number' ? modules[linked] : undefined
    // What a package exports is known when it is loaded.
    return name !== 'default' && (from === undefined || hasExport(from, name, modules))
  })
}

function inModule<T>(root: KernelSource, source: KernelSource, read: () => T): T {
  if (source === root) return read()
  try {
    return read()
  } catch (error) {
    if (!(error instanceof KernelError)) throw error
    const details = { kernel: root.name, line: error.line, module: source.name }
    throw new KernelError(error.code, `in '${source.name}': ${error.message}`, details, { cause: error.cause })
  }
}
