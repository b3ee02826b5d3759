"""Pages of searches and studies for several objectives."""

import types

import numpy as np
from absl.testing import absltest, parameterized

from common import history as history_lib
from common.records import run_dir
from common.report import canvas, front, front_study, histories
from common.spaces import nasbench201
from tests.shared import report_folders

ARCHS = np.array([[1, 1, 1, 1, 1, 1], [3, 3, 3, 3, 3, 3], [0, 0, 0, 0, 0, 0], [2, 2, 2, 2, 2, 2], [4, 4, 4, 4, 4, 4]])
FITNESS = np.array([0.5, 0.9, np.nan, 0.4, 0.8], np.float32)  # the third failed, the fourth is dominated
PARAMS = np.array([1e5, 9e5, np.nan, 2e5, 3e5], np.float32)
REFERENCE, IDEAL = {"fitness": 0.4, "params": 9e5}, {"fitness": 0.9, "params": 1e5}


def run(**changes):
    history = history_lib.History(
        archs=ARCHS,
        fitness=FITNESS,
        cost=np.zeros(5),
        status=np.array([2, 2, 3, 2, 2]),
        size=5,
        others=-PARAMS[:, None],
    )
    result = {"reference": REFERENCE, "ideal": IDEAL, "hypervolume": 0.75, "hypervolume_gap": 0.125, "front_found": 0.6}
    result["front"] = [{"arch": ARCHS[1].tolist(), "test": 0.85, "description": "all 3x3"}]
    config = {"objectives": ["fitness", "-params"], "space": "nasbench201", "protocol": "validation"}
    return types.SimpleNamespace(history=history, queries=np.arange(1, 6), result=result, config=config, **changes)


class FrontTest(parameterized.TestCase):
    def test_rows_and_values(self):
        found = front.of(run())
        self.assertEqual(found.names, ("fitness", "params"))
        self.assertEqual(found.queries[found.rows].tolist(), [2, 5, 1])  # the best fitness first
        self.assertEqual(found.values[found.rows, 1].tolist(), [9e5, 3e5, 1e5])
        self.assertEqual(found.texts(found.rows[0]), ["90.00 %", "900,000"])

    def test_page(self):
        made = front.pictures(run())
        self.assertEqual([one.name for one in made], ["front_1", "hypervolume"])
        text = front.section(run(), made, nasbench201.space())
        for said in (
            "<td>90.00 %</td><td>900,000</td><td>85.00 %</td><td>2</td>",
            "12.50 % of its hypervolume",
            "60 %",
        ):
            self.assertIn(said, text)
        tips = made[0].tips
        self.assertEqual(tips["all"], ["query 4: fitness 40.00 %, params 200,000"])
        self.assertEqual(tips["front"][0], "query 1: fitness 50.00 %, params 100,000")
        canvas.svg(made[0])  # as many tips as marks
        self.assertIn("fitness 40.00 %, params 900,000", made[1].caption)

    def test_a_front_is_not_compressed_by_one_far_below(self):
        fitness = np.array([10.0, 93.0, 90.0, 92.0, 94.0] + [91.0] * 16)
        self.assertEqual(front.low_end(fitness, np.array([4, 1, 0])), 91.0 - 3.0)
        self.assertEqual(front.low_end(fitness, np.array([4, 2])), 90.0)
        given = run()
        size = 21
        given.history = history_lib.History(
            archs=np.stack(np.unravel_index(np.arange(size), (5,) * 6), axis=1),
            fitness=fitness.astype(np.float32) / 100,
            cost=np.zeros(size),
            status=np.full(size, 2),
            size=size,
            others=np.array([-1.0, -30.0, -50.0, -40.0, -60.0] + [-99.0] * 16)[:, None],
        )
        given.queries = np.arange(1, size + 1)
        made = front.pictures(given)[0]
        self.assertIn("3 are on the front", made.caption)
        self.assertIn("1 of these lie below the frame", made.caption)
        np.testing.assert_allclose(made.figure.axes[0].get_ylim(), [88 - 0.06 * 6, 94 + 0.06 * 6], rtol=1e-5)
        canvas.svg(made)

    def test_architectures_of_a_space_of_another_package(self):
        text = front.section(run(), [], None)  # result.json has texts of them
        for said in ("<td>all 3x3</td>", "<td>4 4 4 4 4 4</td>"):
            self.assertIn(said, text)

    def test_a_legend_fits_its_figure(self):
        figure, axes = canvas.new()
        marks = axes.plot(np.zeros((1, 6)))
        for label in ("front", "separable convolution 3x3", "w" * 70):
            canvas.legend(figure, marks, [label] * 6)
        columns = [[len(legend.get_texts()), legend._ncols] for legend in figure.legends]
        self.assertEqual(columns, [[6, 3], [6, 2], [6, 1]])

    def test_hypervolume_after_each_query(self):
        (line,) = front.pictures(run())[1].figure.axes[0].get_lines()
        # of (0.9 - 0.4) * 8e5: 0.1 * 8e5, nothing for the second and fourth at the reference, then 0.3 * 6e5 more
        np.testing.assert_allclose(line.get_ydata(), np.array([8e4, 8e4, 8e4, 26e4]) / 40e4, rtol=1e-5)

    def test_a_search_for_one_objective_has_none(self):
        one = run()
        one.config = {**one.config}
        del one.config["objectives"]
        self.assertEqual(front.pictures(one), [])
        self.assertEqual(front.section(one, [], None), "")

    @parameterized.parameters((1_073_466.0, "1,073,466"), (0.0031234, "0.003123"), (3.0, "3"), (12.5, "12.5"))
    def test_numbers(self, value, expected):
        self.assertEqual(front.number(value), expected)


class HistoryTest(report_folders.FolderTest):
    def test_of_a_search_that_runs_or_has_earlier_measurements(self):
        header, config = {"format": 1, "header": {}}, {"objectives": ["fitness", "-params"]}
        proposed = {"event": "proposed", "round": 0, "archs": ARCHS[1:4].tolist(), "seconds": 0.0}
        common = {"event": "measured", "cost": 1.0, "seconds": 0.0}
        events = [
            {**common, "at": 0, "fitness": 0.9, "ok": True, "costs": {"params": 9e5}},
            {**common, "at": 1, "fitness": None, "ok": False},
        ]
        self.write_lines(run_dir.JOURNAL, [header, proposed, *events])
        history, _ = histories.read(self.folder, config, 3)
        np.testing.assert_array_equal(history.others, [[-9e5], [np.nan], [np.nan]])
        self.assertEqual(histories.read(self.folder, {}, 3)[0].others.shape, (3, 0))

        earlier = {"event": "earlier", "archs": ARCHS[:1].tolist(), "fitness": [0.5], "cost": [None], "seconds": 0.0}
        events = [{**event, "at": event["at"] + 1} for event in events]
        self.write_lines(run_dir.JOURNAL, [header, earlier, proposed, *events])
        others = np.array([[-1e5], [np.nan], [-2e5], [-3e5]], np.float32)
        run_dir.write_history(self.folder / run_dir.HISTORY, history.replace(archs=ARCHS[:4], others=others))
        history, _ = histories.read(self.folder, config, 3)
        np.testing.assert_array_equal(history.others, [[-1e5], [-9e5], [np.nan], [np.nan]])


class StudyTest(absltest.TestCase):
    def test_fitness_reached_at_each_cost(self):
        values = np.array([[0.5, -1.0], [0.9, -9.0], [np.nan, -2.0], [0.4, -2.0], [0.8, -3.0]])
        reached = front_study._reached(values, np.array([-0.5, -1.0, -2.0, -3.0, -8.0, -9.0]))
        np.testing.assert_array_equal(reached, [-np.inf, 0.5, 0.5, 0.8, 0.8, 0.9])
