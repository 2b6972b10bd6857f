// A small project with this repository's scripts, in a folder of its own: what they do to it is nobody else's matter.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const repository = fileURLToPath(new URL('../..', import.meta.url))
const copied = ['scripts', 'package.json', 'package-lock.json', 'tsconfig.json', 'tsconfig.build.json']

export interface Finished {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export class Project {
  readonly dir: string

  private constructor(dir: string) {
    this.dir = dir
  }

  static async make(files: Readonly<Record<string, string>>): Promise<Project> {
    const project = new Project(await mkdtemp(join(tmpdir(), 'gearmill-project-')))
    for (const name of copied) await cp(join(repository, name), project.at(name), { recursive: true })
    await symlink(join(repository, 'node_modules'), project.at('node_modules'))
    for (const [path, text] of Object.entries(files)) await project.write(path, text)
    return project
  }

  at(path: string): string {
    return join(this.dir, path)
  }

  async write(path: string, text: string): Promise<void> {
    await mkdir(dirname(this.at(path)), { recursive: true })
    await writeFile(this.at(path), text)
  }

  /** Copies files of the repository itself. */
  async take(...paths: string[]): Promise<void> {
    for (const path of paths) await cp(join(repository, path), this.at(path))
  }

  async node(args: readonly string[], env: NodeJS.ProcessEnv = process.env): Promise<Finished> {
    const child = spawn(process.execPath, args, { cwd: this.dir, env, stdio: ['ignore', 'pipe', 'pipe'] })
    const output = { stdout: '', stderr: '' }
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8').on('data', (text: string) => (output[name] += text))
    }
    const [code] = (await once(child, 'close')) as [number | null]
    return { code, ...output }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.dir, { recursive: true, force: true })
  }
}
