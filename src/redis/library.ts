// The server function library: assembled from functions/*.lua, named by its content, loaded where it is missing.
//
// Two libraries are made of the files. The internal one is called gearmill_<hash> and its functions gm<hash>_<name>, so
// any number of versions of Gearmill share a server. The public one is called gearmill and its functions gm_<name>: what
// other clients call has one name for ever. Of two versions the later one's public library stays.
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

export interface Library {
  /** What to give to FUNCTION LOAD; an empty library is not loaded. */
  readonly internal: LibrarySource
  readonly public: LibrarySource
  /** The name on the server of a function by its name here. */
  functionName(name: string): string
}

export interface LibrarySource {
  readonly name: string
  readonly source: string
  readonly functions: readonly string[]
  /** Of the package: what decides between two public libraries. */
  readonly version: string
}

const home = fileURLToPath(new URL('functions/', import.meta.url))
const assembled = new Map<string, Library>()

/** Reads and assembles a folder of functions. Default: Gearmill's own, read once. */
export async function readLibrary(directory: string = home): Promise<Library> {
  let library = assembled.get(directory)
  if (library === undefined) assembled.set(directory, (library = assemble(directory)))
  return library
}

interface SourceFile {
  readonly name: string
  readonly text: string
}

/** Many small files, once a process: read without a round through the event loop for each, which would take most of the time. */
function assemble(directory: string): Library {
  const version = packageVersion()
  const names = readdirSync(directory)
    .filter((name) => name.endsWith('.lua'))
    .toSorted()
  const files = names.map((name) => ({ name, text: readFileSync(`${directory}/${name}`, 'utf8') }))
  const shared = files.filter((file) => file.name.startsWith('_'))
  const own = files.filter((file) => !file.name.startsWith('_'))
  const isPublic = (file: SourceFile): boolean => /^[ \t]*gearmill\.public\(/m.test(file.text)
  const internal = join([...shared, ...own.filter((file) => !isPublic(file))])
  const hash = createHash('sha256').update(internal).digest('hex').slice(0, 8)
  const publicFiles = own.filter(isPublic)
  const publicText = join([...shared, ...publicFiles])
  const publicNames = registered(publicFiles, 'public')
  const prefix = `gm${hash}_`
  return {
    internal: {
      name: `gearmill_${hash}`,
      source: `#!lua name=gearmill_${hash}\n${preamble(prefix)}${internal}`,
      functions: registered(own, 'register'),
      version,
    },
    public: {
      name: 'gearmill',
      source: `#!lua name=gearmill\n-- version ${version}\n${preamble('gm_')}${publicText}`,
      functions: publicNames,
      version,
    },
    functionName: (name) => (publicNames.includes(name) ? `gm_${name}` : `${prefix}${name}`),
  }
}

function packageVersion(): string {
  const manifest: { version: string } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
  return manifest.version
}

/** Files one after the other. Locals of a shared file are seen by all after it; those of a function's file by it alone. */
function join(files: readonly SourceFile[]): string {
  return files
    .map(({ name, text }) => (name.startsWith('_') ? `-- ${name}\n${text}\n` : `-- ${name}\ndo\n${text}\nend\n`))
    .join('')
}

function preamble(prefix: string): string {
  return `local gearmill = {}
function gearmill.register(name, callback, flags)
  redis.register_function{ function_name = '${prefix}' .. name, callback = callback, flags = flags or {} }
end
gearmill.public = gearmill.register
`
}

function registered(files: readonly SourceFile[], how: 'register' | 'public'): string[] {
  const pattern = new RegExp(String.raw`^[ \t]*gearmill\.${how}\(\s*['"](\w+)['"]`, 'gm')
  return files.flatMap(({ text }) => Array.from(text.matchAll(pattern), (match) => match[1] ?? ''))
}
