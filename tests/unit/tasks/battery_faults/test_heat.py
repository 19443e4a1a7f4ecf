"""The heat of a simulated pack: against solutions by hand, against another solver, and that no heat is lost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import brentq

from sightline.tasks.battery_faults.synthetic.case import Case, Material, Short, Surroundings
from sightline.tasks.battery_faults.synthetic.heat import GridParams, Heat
from sightline.tasks.battery_faults.synthetic.pack import Pack

GRID = GridParams(volume_m=0.004, layer_m=0.00125, step_s=0.5)
ALONE = Surroundings(convection_w_per_m2k=0.0, emissivity=0.0)
NO_TABS = (1e-7, 1e-7, 1e-7)


def test_a_wave_decays_as_it_does_by_hand() -> None:
    """Insulated: cos(pi x/w) cos(2 pi y/h) cos(pi z/t) decays with the sum of its rates, one a direction."""
    pack = Pack(cells=1, cell_m=(0.145, 0.192, 0.0075), tab_m=NO_TABS)
    material = Material()
    heat = Heat(Case(pack, material, ALONE), GridParams(volume_m=0.002, layer_m=0.0003, step_s=0.5))
    x, y, z = (
        np.cos(np.pi * mode * (np.arange(n) + 0.5) / n) for mode, n in zip((1, 2, 1), heat.shape[:0:-1], strict=True)
    )
    wave = (z[:, None, None] * y[:, None] * x)[None]
    heat.kelvin = 300 + wave
    heat.advance(5.0)
    rates = [k * (mode * np.pi / m) ** 2 / material.capacity_j_per_m3k
             for k, mode, m in zip(material.conductivity, (1, 2, 1), pack.cell_m, strict=True)]  # fmt: skip
    assert heat.kelvin == pytest.approx(300 + wave * np.exp(-5.0 * sum(rates)), abs=5e-4)


def test_a_slab_cools_as_its_series_says() -> None:
    """A wide slab with a film on both faces (Biot number 1.0), at the middle and at the surface after 10 to 60 s."""
    thickness, film, material = 0.0075, 300.0, Material()
    pack = Pack(cells=1, cell_m=(100.0, 100.0, thickness), tab_m=(0.01, 0.01, 0.001))
    around = Surroundings(convection_w_per_m2k=film, emissivity=0.0)
    heat = Heat(
        Case(pack, material, around, offsets_k=(20.0,)), GridParams(volume_m=50.0, layer_m=0.0005, step_s=0.005)
    )
    half, k = thickness / 2, material.through_w_per_mk
    for _ in range(3):
        heat.advance(10.0 if heat.seconds < 20 else 40.0)
        middle, surface = _slab(heat.seconds, half, film * half / k, k / material.capacity_j_per_m3k)
        assert heat.kelvin[0].max() - 300 == pytest.approx(20 * middle, rel=3e-3)
        assert heat.surfaces()[5].mean() - 300 == pytest.approx(20 * surface, rel=3e-3)


def _slab(seconds: float, half_m: float, biot: float, diffusivity: float) -> tuple[float, float]:
    """Series of a slab that cools on both sides (Carslaw and Jaeger 1959, 3.11): share left at middle and surface."""
    middle = surface = 0.0
    for n in range(12):
        root = brentq(lambda b: b * np.sin(b) - biot * np.cos(b), n * np.pi, n * np.pi + np.pi / 2)
        factor = (
            4 * np.sin(root) / (2 * root + np.sin(2 * root)) * np.exp(-(root**2) * diffusivity * seconds / half_m**2)
        )
        middle, surface = middle + factor, surface + factor * np.cos(root)
    return middle, surface


@pytest.mark.parametrize("step_s", [0.25, 1.0])
def test_no_heat_is_lost(step_s: float) -> None:
    around = Surroundings(298.0, (4.0, -3.0), 12.0, 0.9, sun_w_per_m2=300.0, shade_m=0.05, busbar_w=2.0)
    shorts = (Short(1, 0.05, 0.1, 20.0, onset_s=3.3), Short(3, 0.1, 0.05, 5.0))
    case = Case(Pack(), Material(), around, shorts, offsets_k=(0.5, -0.5, 1.0), loads_w=(1.0, 2.0, 3.0))
    heat = Heat(case, GRID.model_copy(update={"step_s": step_s}))
    before = heat.stored_j
    heat.advance(36.0)
    assert heat.balance.lost > 100
    assert heat.balance.generated == pytest.approx(
        20 * 32.7 + (5 + 1 + 2 + 3) * 36 + 2 * 2 * 36 + _sunny_m2(case) * 300 * 36, rel=1e-9
    )
    assert heat.stored_j - before == pytest.approx(heat.balance.generated - heat.balance.lost, rel=1e-6)


def _sunny_m2(case: Case) -> float:
    pack, border = case.pack, case.surroundings.shade_m
    lefts = [pack.left_m(cell) for cell in range(1, pack.cells + 1)]
    return pack.cell_m[1] * sum(float(np.clip(border - left, 0, pack.cell_m[0])) for left in lefts)


def test_heat_goes_over_a_gap_and_through_the_busbar_to_the_neighbour() -> None:
    hot = Case(Pack(gap_m=0.002), offsets_k=(20.0, 0.0, 0.0))
    near, far = Heat(hot, GRID), Heat(replace(hot, pack=Pack(gap_m=0.02)), GRID)
    for heat in (near, far):
        heat.advance(60.0)
    assert near.kelvin[1, :, 10, 0].mean() > far.kelvin[1, :, 10, 0].mean() + 0.05  # beside the gap
    assert near.kelvin[1, :, 10, 0].mean() > near.kelvin[1, :, 10, -1].mean() + 0.1
    assert far.metal[2] > far.metal[5] + 1  # the second cell's left tab, and the third cell's right one
    assert far.kelvin[1, :, -1, 5].mean() > far.kelvin[1, :, 20, 5].mean() + 0.1  # below the joined tab


def test_what_rests_stays_as_it_is() -> None:
    """A pack that has settled in the sun goes on without a jump, and one without causes stays at the ambient."""
    calm = Heat(Case(Pack()), GRID)
    calm.settle(300.0)
    calm.advance(36.0)
    assert calm.kelvin == pytest.approx(300.0, abs=1e-9)
    sunny = Heat(Case(Pack(), surroundings=Surroundings(sun_w_per_m2=200.0, busbar_w=1.0)), GRID)
    sunny.settle(3600.0)
    before = sunny.surfaces()[5]
    assert before.max() > 305
    sunny.advance(36.0)
    assert np.abs(sunny.surfaces()[5] - before).max() < 0.15


def test_the_published_rise_of_the_peak() -> None:
    """Within 0.6 K at every stamp that is published: 10.85 W, half a millimetre in front of the middle."""
    published = {2: 2.9, 5: 5.3, 10: 8.0, 15: 9.7, 20: 11.1, 30: 13.1}
    short = Short(2, 0.0725, 0.11, 10.85, z_m=0.00425)
    heat = Heat(Case(Pack(), Material(28.0, 1.1), shorts=(short,)), GRID)
    rises = {}
    for stamp in range(1, 31):
        heat.advance(1.0)
        rises[stamp] = float(heat.surfaces()[5].max()) - 300
    assert {stamp: rises[stamp] for stamp in published} == pytest.approx(published, abs=0.6)


def test_the_grid_in_force_is_fine_enough() -> None:
    """Against volumes of half the size and steps of a fifth: the peak within 4 % at 5 s, 2 % at 30 s."""
    case = Case(Pack(cells=1), shorts=(Short(1, 0.07, 0.1, 10.0),))
    coarse, fine = Heat(case, GRID), Heat(case, GridParams(volume_m=0.002, layer_m=0.000625, step_s=0.1))
    for seconds, tolerance in ((5.0, 0.05), (25.0, 0.02)):
        coarse.advance(seconds)
        fine.advance(seconds)
        peaks = [float(heat.surfaces()[5].max()) - 300 for heat in (coarse, fine)]
        assert peaks[0] == pytest.approx(peaks[1], rel=tolerance)


def test_another_solver_finds_the_same() -> None:
    """Finite elements (scikit-fem, linear hexahedra, trapezoidal steps): within 2 % of the largest rise everywhere."""
    size, power, film, seconds = (0.06, 0.08, 0.0075), 10.0, 40.0, 20.0
    short = Short(1, 0.024, 0.044, power, radius_m=0.016, depth_m=0.0075)
    case = Case(Pack(cells=1, cell_m=size, tab_m=NO_TABS), Material(), Surroundings(300.0, (0, 0), film, 0.0), (short,))
    heat = Heat(case, GridParams(volume_m=0.002, layer_m=0.00125, step_s=0.1))
    heat.advance(seconds)
    rise = _finite_elements(case, seconds)
    middles = heat.kelvin[0].mean(axis=0) - 300
    assert np.abs(middles - rise).max() < 0.02 * rise.max()


def _finite_elements(case: Case, seconds: float) -> NDArray[np.float64]:
    """Rises at the volumes' middles in the plane, means through the cell; (rows, columns) of 2 mm."""
    import skfem
    from scipy.sparse.linalg import splu
    from skfem.helpers import dot, grad

    (short,), material, (width, height, depth) = case.shorts, case.material, case.pack.cell_m
    columns, rows = round(width / 0.002), round(height / 0.002)
    mesh = skfem.MeshHex.init_tensor(
        np.linspace(0, width, columns + 1), np.linspace(0, height, rows + 1), np.linspace(0, depth, 4)
    )
    basis = skfem.Basis(mesh, skfem.ElementHex1(), intorder=4)
    along = np.array(material.conductivity)[:, None, None]
    inside = skfem.LinearForm(
        lambda v, w: v * ((w.x[0] - short.x_m) ** 2 + (w.x[1] - short.y_m) ** 2 <= short.radius_m**2)
    ).assemble(basis)
    load = inside * (short.power_w / inside.sum())
    mass = skfem.BilinearForm(lambda u, v, _: material.capacity_j_per_m3k * u * v).assemble(basis)
    stiff = skfem.BilinearForm(lambda u, v, _: dot(along * grad(u), grad(v))).assemble(basis)
    film = case.surroundings.convection_w_per_m2k
    losing = skfem.BilinearForm(lambda u, v, _: film * u * v).assemble(skfem.FacetBasis(mesh, skfem.ElementHex1()))
    step, both = 0.25, stiff + losing
    solver = splu((mass + step / 2 * both).tocsc())
    rise = np.zeros(basis.N)
    for _ in range(round(seconds / step)):
        rise = solver.solve((mass - step / 2 * both) @ rise + step * load)
    nodes = np.empty((columns + 1, rows + 1, 4))
    index = np.rint(mesh.p / np.array([[width / columns], [height / rows], [depth / 3]])).astype(int)
    nodes[tuple(index)] = rise[basis.nodal_dofs[0]]
    through = (nodes[..., 1:] + nodes[..., :-1]).mean(axis=2).T / 2
    return (through[1:, 1:] + through[:-1, 1:] + through[1:, :-1] + through[:-1, :-1]) / 4
