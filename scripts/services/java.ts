import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readdir, realpath, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { exists, installOnce, isOnPath, run } from './install.ts'
import type { RunningService } from './service.ts'

/** The oldest that Kafka runs on. */
const JAVA = 17

/** Why what lies in `folder`, or will when it is installed, cannot run on Java here, or `false`. */
export function javaMissing(folder: string): string | false {
  const { stderr, status } = spawnSync('java', ['-version'], { encoding: 'utf8' })
  const version = Number(/version "(\d+)/.exec(stderr)?.[1])
  if (status === 0 && version < JAVA) return `Java ${version} is too old: it takes ${JAVA} or newer`
  // What is there already needs no Maven.
  const missing = status !== 0 ? 'Java' : !existsSync(folder) && !isOnPath('mvn') && 'Maven'
  return missing ? `there is no ${missing} here; with apt: apt-get install default-jre-headless maven` : false
}

/** Downloads Maven artifacts, each `group:artifact:version`, with all that they need at run time, into `folder`. */
export async function downloadJars(folder: string, artifacts: string[]): Promise<void> {
  const dependencies = artifacts.map((coordinates) => {
    const [groupId, artifactId, version] = coordinates.split(':')
    return `<dependency><groupId>${groupId}</groupId><artifactId>${artifactId}</artifactId><version>${version}</version></dependency>`
  })
  const pom = join(folder, 'pom.xml')
  await writeFile(
    pom,
    `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>pebbles</groupId><artifactId>services</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>${dependencies.join('\n')}</dependencies>
</project>
`,
  )
  const goal = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies'
  await run('mvn', ['-B', '-q', '-f', pom, goal, '-DincludeScope=runtime', `-DoutputDirectory=${folder}`])
  await rm(pom)
}

/** Java's arguments for a program of the jars in `folder`: the first compiler alone and little memory, to start soon. */
export async function javaArguments(folder: string, heapMb: number): Promise<string[]> {
  const real = await realpath(folder)
  const jars = (await readdir(real)).filter((name) => name.endsWith('.jar')).sort()
  const archive = archiveOf(real)
  return [
    `-Xmx${heapMb}m`,
    '-XX:+UseSerialGC',
    '-XX:TieredStopAtLevel=1',
    ...((await exists(archive)) ? [`-XX:SharedArchiveFile=${archive}`] : []),
    '-cp',
    jars.map((jar) => join(real, jar)).join(':'),
  ]
}

const archiveOf = (folder: string) => join(`${folder}-classes`, 'classes.jsa')

/**
 * Lets Java keep the classes that the program in `folder` loads, in the form in which it uses them: it then starts in half
 * the time. `start` starts the program, on data in the folder and with the further arguments that it is given.
 */
export async function archiveClasses(
  folder: string,
  start: (dataDir: string, javaArguments: string[]) => Promise<RunningService>,
): Promise<void> {
  const archive = archiveOf(folder)
  await installOnce(join(archive, '..'), async (draft) => {
    const dataDir = join(draft, 'data')
    // It warns of every class that it cannot keep.
    const trial = await start(dataDir, [
      `-XX:ArchiveClassesAtExit=${join(draft, 'classes.jsa')}`,
      '-Xlog:cds=off',
      '-Xlog:cds+dynamic=off',
    ])
    await trial.stop()
    await rm(dataDir, { recursive: true })
  })
}

/** Logback's configuration: warnings and worse, on the standard output. */
export const LOGBACK = `<configuration>
  <appender name="OUT" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%d %-5level %logger{30} %msg%n</pattern></encoder>
  </appender>
  <root level="WARN"><appender-ref ref="OUT"/></root>
</configuration>
`
