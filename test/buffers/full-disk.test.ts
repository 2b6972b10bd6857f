import { execFile, spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync } from 'node:fs'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { temporaryFolder } from './folder.ts'

const path = temporaryFolder()
const script = new URL('./full-disk-process.ts', import.meta.url).pathname

interface Shell {
  readonly command: string
  readonly args: readonly string[]
}

/** Runs the process behind a shell command that leaves it no room: `exec "$@"` is the process. */
async function run(shell: Shell, what: string, target: string): Promise<unknown> {
  const program = ['sh', process.execPath, '--import', 'tsx', script, what, target]
  const { stdout } = await promisify(execFile)(shell.command, [...shell.args, ...program])
  return JSON.parse(stdout)
}

/** No file may grow beyond 1 or 2 MiB (shells count in 512 or 1024 bytes). */
const smallFiles: Shell = { command: 'sh', args: ['-c', 'ulimit -f 2048 && exec "$@"'] }
/** A disk of 3 MiB, which only the process sees. Only where one may mount. */
const smallDisk = (at: string): Shell => ({
  command: 'unshare',
  args: ['-m', 'sh', '-c', `mount -t tmpfs -o size=3m none ${at} && exec "$@"`],
})

function canMount(): boolean {
  const at = path('disk')
  mkdirSync(at)
  const { command, args } = smallDisk(at)
  return process.platform === 'linux' && spawnSync(command, [...args, 'sh', 'true']).status === 0
}

describe('without room on the disk', () => {
  it('a writer gives up for good, and touches no file of others', async () => {
    const file = path()
    expect(await run(smallFiles, 'array', file)).toEqual({
      codes: ['BUFFER_FILE'],
      closed: 'BUFFER_FILE',
      other: 'of somebody else',
    })
  })

  it('rows that do not fit into memory are a coded error, and leave nothing', async () => {
    const folder = path('rows')
    mkdirSync(folder)
    expect(await run(smallFiles, 'rows', `${folder}/map.gmb`)).toBe('BUFFER_FILE')
    expect(readdirSync(folder)).toEqual([])
  })

  it('a pool cannot begin', async () => {
    const folder = path('pool')
    mkdirSync(folder)
    expect(await run(smallFiles, 'pool', folder)).toEqual({ codes: ['BUFFER_FILE'], packed: true, whole: true })
  })

  it.runIf(canMount())('a pool cannot grow, and goes on with what it has', async () => {
    const folder = path('grown')
    mkdirSync(folder)
    expect(await run(smallDisk(folder), 'pool', folder)).toEqual({ codes: ['BUFFER_FILE'], packed: true, whole: true })
  })
})
