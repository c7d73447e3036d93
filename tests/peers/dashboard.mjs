// Whether a dashboard is one that Grafana understands: its JSON, as a value of the types that Grafana publishes for
// dashboards and for each kind of panel. What they do not know is refused, as is what they need and is not there.
//
//   node dashboard.mjs <dashboard.json>        (in the folder that has `node_modules`)
//
// It prints what is wrong, a line each, with the line of the file; ends with 1 if anything is.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const ts = createRequire(`${process.cwd()}/`)('typescript');

const panel = (kind, name) => `@grafana/schema/dist/esm/raw/composable/${kind}/panelcfg/x/${name}PanelCfg_types.gen`;
// JSON has texts where the types have the members of enums, so each stands for its text. The types know neither queries
// nor the annotations of Prometheus, nor the row that panels stand in.
const types = `
import type { DataQuery, DataSourceRef } from '@grafana/schema';
import type { AnnotationQuery, Dashboard, FieldConfig, FieldConfigSource, Panel, RowPanel, VariableModel }
  from '@grafana/schema/dist/esm/raw/dashboard/x/Dashboard_types.gen';
import type * as bargauge from '${panel('bargauge', 'BarGauge')}';
import type * as heatmap from '${panel('heatmap', 'Heatmap')}';
import type * as stat from '${panel('stat', 'Stat')}';
import type * as states from '${panel('statetimeline', 'StateTimeline')}';
import type * as series from '${panel('timeseries', 'TimeSeries')}';

type Plain<T> = T extends string ? \`\${T}\` : T extends number | boolean | null | undefined ? T
  : T extends Array<infer E> ? Array<Plain<E>> : { [K in keyof T]: Plain<T[K]> };
type Prometheus = { type: 'prometheus'; uid: '\${datasource}' };
interface Query extends Omit<DataQuery, 'datasource' | 'key' | 'queryType'> {
  datasource: Prometheus; expr: string; legendFormat: string; format: 'time_series' | 'heatmap' | 'table';
  editorMode: 'code' | 'builder'; instant: boolean; range: boolean;
}
interface Fields<C> extends Omit<FieldConfigSource, 'defaults'> {
  defaults: Omit<FieldConfig, 'custom'> & { custom?: C; unit: string };
}
type Of<T extends string, O, C = Record<string, never>> = Omit<Panel, 'type' | 'options' | 'fieldConfig' | 'targets'>
  & Required<Pick<Panel, 'id' | 'title' | 'description' | 'gridPos'>>
  & { type: T; datasource: Prometheus; options: O; fieldConfig: Fields<C>; targets: Array<Query> };
type Change = AnnotationQuery & { expr?: string; step?: string; titleFormat?: string; textFormat?: string };
type Variable = VariableModel & { definition?: string };
interface Ours extends Omit<Dashboard, 'panels' | 'annotations' | 'templating'> {
  annotations: { list: Array<Change> };
  templating: { list: Array<Variable> };
  panels: Array<RowPanel
    | Of<'bargauge', bargauge.Options>
    | Of<'heatmap', heatmap.Options, heatmap.FieldConfig>
    | Of<'stat', stat.Options>
    | Of<'state-timeline', states.Options, states.FieldConfig>
    | Of<'timeseries', series.Options, series.FieldConfig>>;
}
`;

const path = process.argv[2];
const head = `${types}\nexport const dashboard: Plain<Ours> = `;
const file = join(process.cwd(), 'dashboard.ts');
const text = `${head}${readFileSync(path, 'utf8').trimEnd()};\n`;
const options = {
  strict: true, noEmit: true, skipLibCheck: true, types: [],
  target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext,
};
const host = ts.createCompilerHost(options);
const { getSourceFile, fileExists, readFile } = host;
host.getSourceFile = (name, ...rest) =>
  name === file ? ts.createSourceFile(name, text, ts.ScriptTarget.ES2022, true) : getSourceFile(name, ...rest);
host.fileExists = (name) => name === file || fileExists(name);
host.readFile = (name) => (name === file ? text : readFile(name));

const found = ts.getPreEmitDiagnostics(ts.createProgram([file], options, host));
const before = head.split('\n').length - 1;
for (const { file: source, start, messageText } of found) {
  const line = source && start !== undefined ? source.getLineAndCharacterOfPosition(start).line - before + 1 : 0;
  console.log(`${path}:${line}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`);
}
process.exit(found.length === 0 ? 0 : 1);
