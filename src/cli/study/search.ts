import { SEARCH_ARMS, searchStudy } from '../../search/study/search.ts';
import type { Study } from '../../search/study/study.ts';
import type { StudyKind, StudyOptions } from './kind.ts';
import { planLines } from './plan.ts';
import { type SearchData, searchData } from './search-data.ts';
import { searchReport, searchTable } from './search-report.ts';

/** What evolution and rejection are worth. */
export const searchKind: StudyKind<StudyOptions, Study, object, SearchData> = {
  name: 'search',
  doc: 'Compare evolution with random search, with rejection and without.',
  arms: SEARCH_ARMS,
  ...{ mayLackArms: false, seeds: 5, budget: 60 },
  options: () => [],
  studyOf: (config, { arms, seeds, budget, dir }) =>
    searchStudy({ config, arms, seeds, budget, folder: dir }),
  async foretell(study, common) {
    const baselines = study.known.map(({ name }) => name);
    const lines =
      baselines.length > 0 ? [`Known layers to compare with: ${baselines.join(', ')}.`] : [];
    return { plan: { ...common, baselines }, lines: planLines(common, lines) };
  },
  rest: () => async () => ({}),
  dataOf: searchData,
  tables: (data) => [searchTable(data)],
  figureOf: async (data) => (await import('./search-figure.ts')).searchFigure(data),
  reportOf: searchReport,
  flags: () => [],
};
