/*
 * The binary version of CIFAR-10 and CIFAR-100 (https://www.cs.toronto.edu/~kriz/cifar.html): a tar.gz of
 * files of records. A record is one label (CIFAR-10), or a superclass and a class (CIFAR-100), then 1,024
 * bytes of red, of green and of blue, row by row.
 */
import { createRequire } from 'node:module';
import {
  checkLabels,
  checkSum,
  type DataContent,
  type DataPath,
  damaged,
  decompress,
  type LabelledImages,
  readDataFile,
} from './data-file.ts';

/** The part of nanotar that is used here. It is loaded when an archive is read, for few programs read one. */
interface Nanotar {
  parseTar(data: ArrayBuffer): readonly { readonly name: string; readonly data?: Uint8Array }[];
}

const load = createRequire(import.meta.url);

export interface CifarArchive extends DataPath {
  /** SHA-256 of the archive as it is distributed. */
  readonly sha256: string;
  readonly classes: number;
  /** The last byte of the label is the class; one before it is the superclass, of which there are 20. */
  readonly labelBytes: 1 | 2;
  /** Names of files inside, whatever the folder, and the images of each. */
  readonly train: readonly string[];
  readonly test: readonly string[];
  readonly imagesPerFile: { readonly train: number; readonly test: number };
}

const SIDE = 32;
const PLANE = SIDE * SIDE;
const SUPERCLASSES = 20;
/** For the headers of the tar, and for what lies beside the images. */
const BESIDE_IMAGES = 1e6;

/** Throws a UserError where the archive is missing, damaged, or another file. */
export function readCifar(archive: CifarArchive): DataContent {
  const bytes = readDataFile(archive);
  checkSum(archive, bytes, archive.sha256);
  const members = membersOf(archive, decompress(archive, bytes, limitOf(archive)));
  const all = (names: readonly string[], images: number) =>
    joined(names.map((name) => parseCifar(archive, membersNamed(archive, members, name), images)));
  const { train, test, imagesPerFile } = archive;
  return { train: all(train, imagesPerFile.train), test: all(test, imagesPerFile.test) };
}

function limitOf({ train, test, imagesPerFile, labelBytes }: CifarArchive): number {
  const images = train.length * imagesPerFile.train + test.length * imagesPerFile.test;
  return images * (labelBytes + 3 * PLANE) + BESIDE_IMAGES;
}

function membersOf(archive: DataPath, tar: Uint8Array): ReadonlyMap<string, Uint8Array> {
  const { parseTar } = load('nanotar') as Nanotar;
  // It takes no views, for it would read their whole buffer.
  const content = new Uint8Array(tar).buffer;
  try {
    const files = parseTar(content).map(({ name, data }) => [name, data] as const);
    return new Map(
      files.flatMap(([name, data]) => (data ? [[name.replace(/^.*\//, ''), data]] : [])),
    );
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw damaged(archive, 'it ends within a file', cause);
  }
}

function membersNamed(
  archive: DataPath,
  members: ReadonlyMap<string, Uint8Array>,
  name: string,
): Uint8Array {
  const member = members.get(name);
  if (!member) throw damaged(archive, `it has no file ${name}`);
  return member;
}

/** The images of one file, channels last. Throws a UserError where they are not `count`, or a label is no class. */
export function parseCifar(
  archive: Pick<CifarArchive, 'path' | 'remedy' | 'classes' | 'labelBytes'>,
  records: Uint8Array,
  count: number,
): LabelledImages {
  const { classes, labelBytes } = archive;
  const size = labelBytes + 3 * PLANE;
  if (records.length !== count * size)
    throw damaged(
      archive,
      `a file of it has ${records.length} bytes where ${count} images take ${count * size}`,
    );
  const labelsAt = (place: number) =>
    Uint8Array.from({ length: count }, (_, i) => records[i * size + place]!);
  if (labelBytes === 2) checkLabels(archive, labelsAt(0), SUPERCLASSES);
  const labels = labelsAt(labelBytes - 1);
  checkLabels(archive, labels, classes);
  const pixels = new Uint8Array(count * 3 * PLANE);
  for (let n = 0, to = 0; n < count; n++) {
    const start = n * size + labelBytes;
    for (let i = start; i < start + PLANE; i++)
      for (let c = 0; c < 3; c++) pixels[to++] = records[i + c * PLANE]!;
  }
  return { pixels, labels };
}

function joined(parts: readonly LabelledImages[]): LabelledImages {
  const bytes = (of: (part: LabelledImages) => ArrayLike<number>) => {
    const all = new Uint8Array(parts.reduce((sum, part) => sum + of(part).length, 0));
    let end = 0;
    for (const part of parts) {
      all.set(of(part), end);
      end += of(part).length;
    }
    return all;
  };
  return { pixels: bytes(({ pixels }) => pixels), labels: bytes(({ labels }) => labels) };
}
