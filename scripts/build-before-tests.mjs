// vitest's global set-up: executors and the command line run from dist, so it has to belong to the sources under test.
import { ensureBuild } from './build.mjs'

export async function setup() {
  await ensureBuild({ strict: false })
}
