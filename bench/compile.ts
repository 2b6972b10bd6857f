// Programs that are measured run as plain JavaScript: a loader for TypeScript would be measured with them.
import { buildSync } from 'esbuild'
import { mkdirSync } from 'node:fs'
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Compiles a program one folder below this one; gives the path of what came out, also one folder below. */
export function compiled(source: string): string {
  const folder = fileURLToPath(new URL('.compiled/', import.meta.url))
  mkdirSync(folder, { recursive: true })
  const outfile = `${folder}${basename(source, '.ts')}.js`
  buildSync({
    entryPoints: [source],
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'node',
    packages: 'external',
    external: ['../../dist/*'],
  })
  return outfile
}
