// Set-up on machines that lack something. The package manager is a script that records what it was asked and links a server.
import { chmod, mkdir, readFile, symlink } from 'node:fs/promises'
import { beforeAll, describe, expect, it } from 'vitest'
import { findServer } from '../../src/server/binary.ts'
import { Project } from './project.ts'

let server: string
beforeAll(async () => {
  server = (await findServer()).path
})

async function machine(): Promise<Project> {
  const project = await Project.make({})
  await project.take('src/errors.ts', 'src/server/binary.ts')
  await mkdir(project.at('bin'))
  await symlink(process.execPath, project.at('bin/node'))
  return project
}

const run = (project: Project) =>
  project.node(
    [
      '--input-type=module',
      '-e',
      `import { setup } from './scripts/setup.mjs'; import { fail } from './scripts/paths.mjs'; await setup().catch(fail)`,
    ],
    { PATH: project.at('bin') },
  )

describe('set-up', () => {
  it('installs a server through the package manager, says so first, and is silent when there is nothing to do', async () => {
    await using project = await machine()
    const name = server.split('/').at(-1)
    await project.write(
      'bin/apt-get',
      `#!/bin/sh
echo "$*" >> ${project.at('asked')}
if [ "$1" = update ]; then : > ${project.at('fresh')}; exit 0; fi
[ -e ${project.at('fresh')} ] || { echo 'E: Unable to locate package'; exit 100; }
/bin/ln -s ${server} ${project.at(`bin/${name}`)}
`,
    )
    await project.write('bin/sudo', '#!/bin/sh\nshift\n[ "$1" = true ] || exec "$@"\n')
    for (const name of ['apt-get', 'sudo']) await chmod(project.at(`bin/${name}`), 0o755)
    const first = await run(project)
    expect(first).toMatchObject({ code: 0, stdout: '' })
    expect(first.stderr).toMatch(/Installing the package redis-tools, which starts no service: .*apt-get install/)
    const install = 'install -y --no-install-recommends redis-tools'
    expect(await readFile(project.at('asked'), 'utf8')).toBe(`${install}\nupdate\n${install}\n`)
    expect(await run(project)).toEqual({ code: 0, stdout: '', stderr: '' })
  })

  it('says what to type where it knows no package manager', async () => {
    await using project = await machine()
    const { code, stdout, stderr } = await run(project)
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toMatch(/no valkey-server or redis-server on PATH\nInstall one: `.+`\n$/)
  })

  it('leaves a server that GEARMILL_SERVER names to the user', async () => {
    await using project = await machine()
    const args = ['--input-type=module', '-e', `await (await import('./scripts/setup.mjs')).setup()`]
    const outcome = await project.node(args, { PATH: project.at('bin'), GEARMILL_SERVER: server })
    expect(outcome).toEqual({ code: 0, stdout: '', stderr: 'Building dist ...\n' })
  })
})
