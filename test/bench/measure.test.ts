// The cost of a command holds that of everything it started, also of what outlived it. CPU time is a fact here, no speed.
import { spawn } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { measure } from '../../bench/measure.ts'

/** A program that ends when it has used so much CPU time. */
const burn = (ms: number): string =>
  `while (process.cpuUsage().user + process.cpuUsage().system < ${ms} * 1000) Math.sqrt(Math.random());`
const node = (code: string): string => JSON.stringify(['-e', code])

describe.runIf(process.platform === 'linux')('measure', () => {
  it('adds up a process, its child and its grandchild', async () => {
    const grandchild = `${burn(300)}`
    const child = `require('child_process').spawnSync(process.execPath, ${node(grandchild)}); ${burn(600)}`
    const parent = `require('child_process').spawnSync(process.execPath, ${node(child)}); ${burn(300)}; console.log('done')`
    const cost = await measure(process.execPath, ['-e', parent])
    expect(cost).toMatchObject({ exitCode: 0, stdout: 'done\n' })
    const cpu = cost.userSeconds + cost.systemSeconds
    expect(cpu).toBeGreaterThan(1.1)
    expect(cpu).toBeLessThan(2)
  })

  it('counts a process that lost its parent on the way', async () => {
    const orphan = burn(500)
    const middle = `require('child_process').spawn(process.execPath, ${node(orphan)}, { detached: true, stdio: ['ignore', 1, 'ignore'] }).unref()`
    // Waits for the orphan by its hold on stdout.
    const cost = await measure(process.execPath, [
      '-e',
      `const c = require('child_process').spawn(process.execPath, ${node(middle)}, { stdio: ['ignore', 'pipe', 'ignore'] }); c.stdout.on('close', () => {}).resume()`,
    ])
    expect(cost.userSeconds + cost.systemSeconds).toBeGreaterThan(0.45)
  })

  it('counts what named processes did meanwhile, and the memory of all', async () => {
    const held = 200 * 1024 * 1024
    const helper = spawn(
      process.execPath,
      [
        '-e',
        `const b = Buffer.alloc(${held}, 1); process.stdin.once('data', () => { ${burn(2000)} process.exit(b.length - ${held}) })`,
      ],
      { stdio: ['pipe', 'inherit', 'inherit'] },
    )
    const measured = measure('sh', ['-c', `while kill -0 ${helper.pid} 2>/dev/null; do sleep 0.02; done`], {
      pids: [helper.pid ?? 0],
    })
    helper.stdin.end('go')
    const cost = await measured
    expect(cost.userSeconds + cost.systemSeconds).toBeGreaterThan(0.5)
    expect(cost.largestBytes).toBeGreaterThan(held)
    expect(cost.peakBytes).toBeGreaterThanOrEqual(cost.largestBytes)
  })

  it('hands on the exit code', async () => {
    expect(await measure('sh', ['-c', 'exit 9'])).toMatchObject({ exitCode: 9 })
  })
})
