"""Reports: pictures and self-contained HTML pages of the folders that searches, trainings and studies write.

One file for each subject (`search`, `image_search`, `training`, `study`, `across` tasks, `ranking`) holds its data, as
read from files, its pictures and its page. `canvas` draws, `page` writes HTML, `console` prints tables, `report.write`
is the whole of it. The packages of the algorithms explain their models as plain arrays (`common.explanations`).
"""
